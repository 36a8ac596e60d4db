//! Fills environment variables into values: `${NAME}` and `${NAME:-default}`; `$$` is a dollar sign.
//!
//! It works on the tree, after YAML was parsed, so that the value of a variable is only ever a value: it cannot add a
//! key or end a quotation. A `$` before anything else stands for itself, as at the end of a regular expression.

use super::report::Problems;
use super::tree::{Content, Node};
use super::value::Invalid;

/// Looks up an environment variable. None when it is not set.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Fills variables into every value below the node. Keys stay as they are.
pub(super) fn expand(node: &mut Node, lookup: Lookup<'_>, problems: &Problems) {
    match &mut node.content {
        Content::Null | Content::Unset => {}
        Content::Scalar(text) if !text.contains('$') => {}
        Content::Scalar(text) => match expanded(text, lookup) {
            Ok(value) => *text = value,
            Err(invalid) => {
                problems.invalid(node.place, invalid);
                node.content = Content::Unset;
            }
        },
        Content::List(items) => items.iter_mut().for_each(|item| expand(item, lookup, problems)),
        Content::Map(entries) => {
            entries.iter_mut().for_each(|entry| expand(&mut entry.value, lookup, problems))
        }
    }
}

fn expanded(text: &str, lookup: Lookup<'_>) -> Result<String, Invalid> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(escaped) = after.strip_prefix('$') {
            out.push('$');
            rest = escaped;
        } else if let Some(reference) = after.strip_prefix('{') {
            let end = reference.find('}').ok_or_else(|| {
                Invalid::new("`${` has no closing `}`")
                    .hint("write `${NAME}` or `${NAME:-default}`; `$$` is a dollar sign")
            })?;
            out.push_str(&variable(&reference[..end], lookup)?);
            rest = &reference[end + 1..];
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The value of what stands between `${` and `}`. As in a shell, the default also replaces an empty variable.
fn variable(reference: &str, lookup: Lookup<'_>) -> Result<String, Invalid> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let starts_well = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if !starts_well || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(Invalid::new(format!("`{name}` is not the name of an environment variable"))
            .hint("write `${NAME}` or `${NAME:-default}`; `$$` is a dollar sign"));
    }
    match (lookup(name), default) {
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Invalid::new(format!("the environment variable `{name}` is not set"))
            .hint(format!("set it, or give a default: `${{{name}:-default}}`"))),
    }
}
