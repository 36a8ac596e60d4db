//! Budgets: a file of at most 400 lines without its tests. Functions have theirs from clippy, see `lints`.

use syn::spanned::Spanned;

use crate::tree::{self, File};

const FILE_LINES: usize = 400;

#[test]
fn no_file_is_longer_than_its_budget() {
    let files = tree::rust();
    let too_long = files.iter().filter(|file| !file.is_test()).filter_map(|file| {
        let lines = lines_without_tests(file);
        (lines > FILE_LINES).then(|| {
            file.violation(FILE_LINES, format!("{lines} lines without tests; the budget is {FILE_LINES}"))
        })
    });
    tree::assert_kept("a file is over its budget; split it by concern", too_long.collect());
}

/// The file's lines less those of its items under `#[cfg(test)]`.
fn lines_without_tests(file: &File) -> usize {
    let all = file.text.lines().count();
    let Ok(parsed) = syn::parse_file(&file.text) else { return all };
    let tests: usize = parsed.items.iter().filter(|item| is_for_tests(item)).map(line_count).sum();
    all - tests
}

fn is_for_tests(item: &syn::Item) -> bool {
    let attributes = match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
    })
}

fn line_count(item: &syn::Item) -> usize {
    let span = item.span();
    span.end().line - span.start().line + 1
}

#[test]
fn the_lines_of_tests_are_not_counted() {
    let text = "//! x\nfn f() {}\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn t() {}\n}\n#[cfg(unix)]\nmod u {}\n";
    let file = File { path: "src/x.rs".to_owned(), text: text.to_owned() };
    assert_eq!(lines_without_tests(&file), 4);
}
