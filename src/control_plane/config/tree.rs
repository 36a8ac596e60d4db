//! Reads YAML into a tree that remembers where each key and value stands in the file.
//!
//! It is built from the parser's events, because the library's own tree keeps no place of a key and gives up at the
//! first duplicate key. Size, depth and the expansion of aliases are bounded, so that no file can exhaust memory or
//! the stack.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::report::{Place, Problems};

/// The largest file that is read, in bytes.
pub(super) const MAX_SIZE: usize = 1 << 20;

/// The deepest nesting of lists and mappings. The keys of the configuration need less than half of it.
const MAX_DEPTH: usize = 32;

/// The most nodes in a file, counting what an alias stands for each time.
const MAX_NODES: usize = 100_000;

/// A value in the file.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) content: Content,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// Nothing: `key:`, `key: null` or `key: ~`.
    Null,
    /// A value that could not be made from its environment variables. That was noted; nothing more is to be said.
    Unset,
    /// A single value. What it means is up to whoever reads it.
    Scalar(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in file order, without duplicate keys.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Node,
}

impl Node {
    /// The value of a key of this mapping. None when there is no such key, or no mapping.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// A key of this mapping with its value.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The keys of this mapping; none if it is something else.
    pub(super) fn entries(&self) -> &[Entry] {
        if let Content::Map(entries) = &self.content { entries } else { &[] }
    }

    /// The items of this list; a single value is a list of one.
    pub(super) fn items(&self) -> &[Node] {
        match &self.content {
            Content::List(items) => items,
            Content::Null | Content::Unset => &[],
            Content::Scalar(_) | Content::Map(_) => std::slice::from_ref(self),
        }
    }

    /// Whether this is the given single value.
    pub(super) fn is(&self, text: &str) -> bool {
        matches!(&self.content, Content::Scalar(found) if found == text)
    }

    /// What kind of value this is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match self.content {
            Content::Null | Content::Unset => "nothing",
            Content::Scalar(_) => "a single value",
            Content::List(_) => "a list",
            Content::Map(_) => "a mapping",
        }
    }

    fn children(&self) -> Box<dyn Iterator<Item = &Node> + '_> {
        match &self.content {
            Content::Null | Content::Unset | Content::Scalar(_) => Box::new(std::iter::empty()),
            Content::List(items) => Box::new(items.iter()),
            Content::Map(entries) => Box::new(entries.iter().map(|entry| &entry.value)),
        }
    }

    fn count(&self) -> usize {
        1 + self.children().map(Node::count).sum::<usize>()
    }

    fn depth(&self) -> usize {
        1 + self.children().map(Node::depth).max().unwrap_or(0)
    }
}

/// Reads a file of one document. None when it is no YAML, is too large or empty; the reason is noted.
pub(super) fn parse(text: &str, problems: &Problems) -> Option<Node> {
    if text.len() > MAX_SIZE {
        problems.error(Place::default(), format!("the file is larger than {} KiB", MAX_SIZE / 1024), None);
        return None;
    }
    let mut builder = Builder { problems, open: Vec::new(), anchors: HashMap::new(), nodes: 0, root: None };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let step =
            event.map_err(|error| Stop::syntax(&error)).and_then(|(event, span)| builder.event(event, span));
        if let Err(Stop { place, message, hint }) = step {
            problems.error(place, message, hint);
            return None;
        }
    }
    if builder.root.is_none() {
        let hint = "the smallest useful file has two sections: `listeners: {web: {address: 127.0.0.1:8080}}` and \
                    `upstreams: {app: {backends: [127.0.0.1:5001]}}`";
        problems.error(Place::default(), "the file is empty", Some(hint.to_owned()));
    }
    builder.root
}

/// Why the rest of the file is not read.
struct Stop {
    place: Place,
    message: String,
    hint: Option<String>,
}

impl Stop {
    fn new(place: Place, message: impl Into<String>, hint: &str) -> Self {
        Self { place, message: message.into(), hint: Some(hint.to_owned()) }
    }

    fn syntax(error: &ScanError) -> Self {
        let mark = error.marker();
        let place = Place { line: mark.line().max(1), column: mark.col() + 1, length: 1 };
        let message = format!("this is not valid YAML: {}", error.info());
        Self::new(
            place,
            message,
            "look at this line and the one above it: indentation, quotes, `:` and brackets",
        )
    }
}

/// A list or mapping that has not ended.
struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value comes next. Always None in a list.
    key: Option<(String, Place)>,
    /// Where each key of a mapping stood first.
    seen: HashMap<String, Place>,
}

struct Builder<'a> {
    problems: &'a Problems,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        let place = place(span);
        if let Event::Scalar(_, _, _, Some(tag))
        | Event::SequenceStart(_, Some(tag))
        | Event::MappingStart(_, Some(tag)) = &event
        {
            return Err(Stop::new(place, format!("the tag `{tag}` has no meaning here"), "remove the tag"));
        }
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null");
                let content = if null { Content::Null } else { Content::Scalar(text.into_owned()) };
                self.finished(Node { place, content }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.start(place, Content::List(Vec::new()), anchor),
            Event::MappingStart(anchor, _) => self.start(place, Content::Map(Vec::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => {
                let Open { node, anchor, .. } =
                    self.open.pop().expect("the parser ends only what it started");
                self.finished(node, anchor)
            }
            Event::Alias(anchor) => {
                let Some(mut node) = self.anchors.get(&anchor).cloned() else {
                    return Err(Stop::new(
                        place,
                        "an alias refers to a value that contains it",
                        "write the value out",
                    ));
                };
                node.place = place;
                if self.open.len() + node.depth() > MAX_DEPTH {
                    return Err(too_deep(place));
                }
                self.nodes += node.count();
                self.finished(node, 0)
            }
            Event::DocumentStart(_) if self.root.is_some() => Err(Stop::new(
                place,
                "a second document begins here",
                "a configuration is one document; remove `---`",
            )),
            Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::StreamStart
            | Event::StreamEnd
            | Event::Nothing => Ok(()),
        }
    }

    fn start(&mut self, place: Place, content: Content, anchor: usize) -> Result<(), Stop> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(place));
        }
        if self.open.last().is_some_and(|open| open.expects_key()) {
            return Err(Stop::new(
                place,
                "a list or mapping stands where a key should",
                "a key is a plain word",
            ));
        }
        let place = Place { length: 1, ..place };
        self.open.push(Open { node: Node { place, content }, anchor, key: None, seen: HashMap::new() });
        Ok(())
    }

    /// Puts a complete value where it belongs.
    fn finished(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Stop::new(
                node.place,
                format!("the file has more than {MAX_NODES} values"),
                "aliases count as often as they are used",
            ));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.node.content {
            Content::List(items) => items.push(node),
            Content::Map(entries) => match open.key.take() {
                None => open.key = Some(key(node)?),
                Some((key, place)) => match open.seen.get(&key) {
                    Some(first) => self.problems.error(
                        place,
                        format!("`{key}` is given twice"),
                        Some(format!(
                            "it is also given at {}:{}; remove one of the two",
                            first.line, first.column
                        )),
                    ),
                    None => {
                        open.seen.insert(key.clone(), place);
                        entries.push(Entry { key, place, value: node });
                    }
                },
            },
            Content::Null | Content::Unset | Content::Scalar(_) => {}
        }
        Ok(())
    }
}

impl Open {
    fn expects_key(&self) -> bool {
        matches!(self.node.content, Content::Map(_)) && self.key.is_none()
    }
}

fn key(node: Node) -> Result<(String, Place), Stop> {
    match node.content {
        Content::Scalar(text) if text == "<<" => Err(Stop::new(
            node.place,
            "merge keys (`<<`) are not part of YAML 1.2",
            "write the keys out, or use an alias for a whole value",
        )),
        Content::Scalar(text) => Ok((text, node.place)),
        _ => Err(Stop::new(node.place, "a key is missing before `:`", "a key is a plain word")),
    }
}

fn too_deep(place: Place) -> Stop {
    Stop::new(place, format!("values are nested deeper than {MAX_DEPTH} levels"), "no key needs such depth")
}

/// Where a span starts, and how much of it stands on its first line.
fn place(span: Span) -> Place {
    let (start, end) = (span.start, span.end);
    let length =
        if start.line() == end.line() { end.index().saturating_sub(start.index()) } else { usize::MAX };
    Place { line: start.line().max(1), column: start.col() + 1, length }
}
