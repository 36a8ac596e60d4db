//! Directives, some with a block of others.

use super::lexer::Token;
use crate::note::Notes;
use crate::word::{Place, Word};

/// How deep blocks may stand in each other. Nobody writes a tenth of it.
const DEPTH_MAX: usize = 32;

/// A directive with its arguments, and what stands in its braces.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Directive {
    /// The name and the arguments.
    pub(crate) words: Vec<Word>,
    pub(crate) block: Block,
}

/// What stands in the braces of a directive.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Block {
    None,
    Directives(Vec<Directive>),
    Lua(Word),
}

impl Directive {
    pub(crate) fn name(&self) -> &str {
        self.words.first().map_or("", |word| word.text.as_str())
    }

    pub(crate) fn arguments(&self) -> &[Word] {
        self.words.get(1..).unwrap_or_default()
    }

    /// The text of an argument, counted from 0. Empty when there is none.
    pub(crate) fn argument(&self, index: usize) -> &str {
        self.arguments().get(index).map_or("", |word| word.text.as_str())
    }

    pub(crate) fn inner(&self) -> &[Directive] {
        match &self.block {
            Block::Directives(inner) => inner,
            Block::None | Block::Lua(_) => &[],
        }
    }

    pub(crate) fn place(&self) -> Place {
        self.words.first().map(|word| word.place).unwrap_or_default()
    }
}

/// The directives of a file. What does not fit together is noted.
pub(crate) fn parse(tokens: Vec<Token>, notes: &Notes) -> Vec<Directive> {
    let mut open: Vec<(Vec<Word>, Vec<Directive>)> = Vec::new();
    let (mut list, mut words): (Vec<Directive>, Vec<Word>) = (Vec::new(), Vec::new());
    let mut too_deep = 0_usize;
    for token in tokens {
        match token {
            Token::Word(word) => words.push(word),
            Token::End(_) if words.is_empty() => {}
            Token::End(_) => {
                list.push(Directive { words: std::mem::take(&mut words), block: Block::None });
            }
            Token::Lua(text) => {
                list.push(Directive { words: std::mem::take(&mut words), block: Block::Lua(text) });
            }
            Token::Open(place) if open.len() >= DEPTH_MAX => {
                too_deep += 1;
                notes.error(&[Word { text: "{".to_owned(), place }], "blocks stand too deep in each other");
            }
            Token::Open(_) => open.push((std::mem::take(&mut words), std::mem::take(&mut list))),
            Token::Close(_) if too_deep > 0 => too_deep -= 1,
            Token::Close(place) => {
                unfinished(&std::mem::take(&mut words), notes);
                let Some((words, outer)) = open.pop() else {
                    notes.error(&[Word { text: "}".to_owned(), place }], "it closes nothing");
                    continue;
                };
                let block = Block::Directives(std::mem::replace(&mut list, outer));
                list.push(Directive { words, block });
            }
        }
    }
    unfinished(&words, notes);
    while let Some((words, outer)) = open.pop() {
        notes.error(&words, "its block is not closed: a `}` is missing");
        let block = Block::Directives(std::mem::replace(&mut list, outer));
        list.push(Directive { words, block });
    }
    list
}

fn unfinished(words: &[Word], notes: &Notes) {
    if !words.is_empty() {
        notes.error(words, "it does not end: a `;` is missing");
    }
}
