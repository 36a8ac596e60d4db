//! The grouping key: the labels by which pushed metrics are told apart, read from the path of a request.
//!
//! As the Pushgateway has it: `job/<job>{/<label>/<value>}`, where a name that ends in `@base64` announces a value in the URL's
//! base 64 (RFC 4648 section 5, with or without padding), for values that are empty or have a slash in them.
//!
//! Two things differ. An empty part (`//`) is refused, while the Pushgateway redirects to a path without it and so to another
//! group. And a value that is not UTF-8 is refused, while the Pushgateway keeps it and fails at every scrape from then on.

use std::collections::BTreeMap;
use std::fmt;

use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig};

use super::text::{LABELS_MAX, quoted};

/// What announces a value in base 64.
const BASE64_SUFFIX: &str = "@base64";

/// As lenient with a last byte as the Pushgateway.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// The labels of a group of pushed metrics, by name; one of them is `job`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey {
    labels: BTreeMap<Box<str>, Box<str>>,
    names: Box<str>,
}

/// Why a path names no group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It is no path for pushes at all.
    #[error("there is nothing at this path")]
    NotFound,
    /// It is one with a mistake.
    #[error("{0}")]
    Wrong(String),
}

impl GroupKey {
    /// Reads what follows `/metrics/` in the path of a request, percent-encoded as it came.
    ///
    /// # Errors
    /// See [`PathError`].
    ///
    /// ```
    /// use plimsoll::control_plane::push::GroupKey;
    ///
    /// let key = GroupKey::of_path("job/cpu_usage/instance/backend-1").expect("a path for pushes");
    /// assert_eq!(key.get("instance"), Some("backend-1"));
    /// assert_eq!(key, GroupKey::of_path("job/cpu_usage/instance@base64/YmFja2VuZC0x").expect("the same"));
    /// ```
    pub fn of_path(path: &str) -> Result<Self, PathError> {
        let wrong = |what: String| PathError::Wrong(what);
        let path = percent_decoded(path)
            .ok_or_else(|| wrong(format!("the path {} is not percent-encoded", quoted(path.as_bytes()))))?;
        let mut parts = path.split(|byte| *byte == b'/');
        let job_in_base64 = match parts.next() {
            Some(b"job") => false,
            Some(b"job@base64") => true,
            _ => return Err(PathError::NotFound),
        };
        let job = parts.next().ok_or(PathError::NotFound)?;
        let job = if job_in_base64 {
            from_base64(job)
                .map_err(|at| wrong(format!("invalid base64 encoding in job name {}: {at}", quoted(job))))?
        } else {
            job.to_vec()
        };
        let mut labels = labels(&parts.collect::<Vec<_>>())?;
        if job.is_empty() {
            return Err(wrong("job name is required".to_owned()));
        }
        labels.insert("job".into(), text("job", job)?);
        Ok(Self::of(labels))
    }

    /// Returns the value of a label.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(|value| &**value)
    }

    /// Returns all labels, by name.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Returns the other key that looks the same where there always is an instance: with an empty one, or without one.
    pub(super) fn twin(&self) -> Option<Self> {
        let mut labels = self.labels.clone();
        match self.get("instance") {
            Some("") => labels.remove("instance"),
            None => labels.insert("instance".into(), "".into()),
            Some(_) => return None,
        };
        Some(Self::of(labels))
    }

    fn of(labels: BTreeMap<Box<str>, Box<str>>) -> Self {
        let names = labels.keys().map(|name| &**name).collect::<Vec<_>>().join(",").into();
        Self { labels, names }
    }

    /// Returns the names of its labels. Groups whose labels have the same names differ in a value, and so do all of their series.
    pub(super) fn names(&self) -> &str {
        &self.names
    }
}

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<_> =
            self.labels().map(|(name, value)| format!("{name}={}", quoted(value.as_bytes()))).collect();
        f.write_str(&labels.join(","))
    }
}

/// Reads names and values that follow each other; of a name that comes twice the last value counts.
fn labels(parts: &[&[u8]]) -> Result<BTreeMap<Box<str>, Box<str>>, PathError> {
    let mut labels = BTreeMap::new();
    // `job/cpu_usage/` is taken for `job/cpu_usage`.
    if matches!(parts, [] | [b""]) {
        return Ok(labels);
    }
    let whole = || quoted(&[b"/", &*parts.join(&b'/')].concat());
    // The last part may be empty, as in `instance/`: the one value that needs no base 64.
    if parts[..parts.len() - 1].contains(&&b""[..]) {
        let hint = "write an empty value in base 64, as in `instance@base64/=`";
        return Err(PathError::Wrong(format!("empty component in label string {}; {hint}", whole())));
    }
    let (pairs, rest) = parts.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(PathError::Wrong(format!("odd number of components in label string {}", whole())));
    }
    for [name, value] in pairs {
        let plain = name.strip_suffix(BASE64_SUFFIX.as_bytes());
        let label = plain.unwrap_or(name);
        let label = std::str::from_utf8(label)
            .ok()
            .filter(|label| is_label_name(label))
            .ok_or_else(|| PathError::Wrong(format!("improper label name {}", quoted(label))))?;
        let value = match plain {
            None => value.to_vec(),
            Some(_) => from_base64(value).map_err(|at| {
                PathError::Wrong(format!("invalid base64 encoding for label {label}={}: {at}", quoted(value)))
            })?,
        };
        labels.insert(label.into(), text(label, value)?);
    }
    if labels.len() > LABELS_MAX {
        return Err(PathError::Wrong(format!("more than {LABELS_MAX} labels")));
    }
    Ok(labels)
}

/// Tells whether a label may be called so by whoever pushes.
pub(super) fn is_label_name(name: &str) -> bool {
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    begins && !name.starts_with("__") && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn text(label: &str, value: Vec<u8>) -> Result<Box<str>, PathError> {
    let value = String::from_utf8(value);
    value.map(String::into_boxed_str).map_err(|error| {
        PathError::Wrong(format!("the value of label {label} is not UTF-8: {}", quoted(error.as_bytes())))
    })
}

/// Reads base 64; the error says where it is none.
fn from_base64(text: &[u8]) -> Result<Vec<u8>, String> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    BASE64.decode(&text[..text.len() - padding]).map_err(|error| {
        let at = match error {
            base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
            base64::DecodeError::InvalidLength(length) => length / 4 * 4,
            base64::DecodeError::InvalidPadding => text.len() - padding,
        };
        format!("illegal base64 data at input byte {at}")
    })
}

/// Resolves percent-encoding (RFC 3986 section 2.1). None where a percent sign is no part of one.
fn percent_decoded(path: &str) -> Option<Vec<u8>> {
    let mut bytes = path.bytes();
    let mut decoded = Vec::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        decoded.push(match byte {
            b'%' => (digit(bytes.next())? * 16 + digit(bytes.next())?) as u8,
            _ => byte,
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> Result<String, String> {
        GroupKey::of_path(path).map(|key| key.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_path_names_a_group_in_many_ways() {
        for (path, key) in [
            ("job/j", r#"job="j""#),
            ("job/j/", r#"job="j""#),
            ("job/j/instance/i", r#"instance="i",job="j""#),
            ("job/j/instance/", r#"instance="",job="j""#),
            ("job/j/a/1/a/2", r#"a="2",job="j""#),
            ("job/j/job/k", r#"job="j""#),
            ("job/j/x/%20y%22", r#"job="j",x=" y\"""#),
            ("job/j/x/%C3%A4", r#"job="j",x="ä""#),
            ("job/+j", r#"job="+j""#),
            ("job@base64/am9i", r#"job="job""#),
            ("job%40base64/YQ==", r#"job="a""#),
            ("job@base64/Lw==", r#"job="/""#),
            ("job/j/path@base64/L3Zhci90bXA", r#"job="j",path="/var/tmp""#),
            ("job/j/x@base64/=", r#"job="j",x="""#),
            ("job/j/x@base64/", r#"job="j",x="""#),
            ("job/j/x@base64/YR", r#"job="j",x="a""#),
        ] {
            assert_eq!(read(path).as_deref(), Ok(key), "{path}");
        }
    }

    #[test]
    fn a_mistake_in_a_path_is_told_in_the_words_of_the_pushgateway() {
        for (path, error) in [
            ("jobs/j", "there is nothing at this path"),
            ("job", "there is nothing at this path"),
            ("job/", "job name is required"),
            ("job@base64/=", "job name is required"),
            ("job//instance/i", "job name is required"),
            ("job/j/instance", r#"odd number of components in label string "/instance""#),
            ("job/j/instance/i/", r#"odd number of components in label string "/instance/i/""#),
            ("job/j/x/a%2Fb", r#"odd number of components in label string "/x/a/b""#),
            ("job/j/1x/y", r#"improper label name "1x""#),
            ("job/j/__x/y", r#"improper label name "__x""#),
            ("job/j/x-y/z", r#"improper label name "x-y""#),
            ("job/j/x@base32/YQ", r#"improper label name "x@base32""#),
            ("job/j/@base64/YQ", r#"improper label name """#),
            (
                "job/j/x@base64/YWJjZ",
                r#"invalid base64 encoding for label x="YWJjZ": illegal base64 data at input byte 4"#,
            ),
            (
                "job/j/x@base64/YW!j",
                r#"invalid base64 encoding for label x="YW!j": illegal base64 data at input byte 2"#,
            ),
            (
                "job@base64/Y",
                r#"invalid base64 encoding in job name "Y": illegal base64 data at input byte 0"#,
            ),
        ] {
            assert_eq!(read(path).as_ref().map_err(|said| &**said), Err(error), "{path}");
        }
    }

    #[test]
    fn what_would_break_a_page_or_name_another_group_is_refused() {
        for path in ["job/%ff", "job/j/x/%FF", "job@base64/-_8", "job/j/x/%zz", "job/j/x/%f", "job/j/x//"] {
            assert!(matches!(GroupKey::of_path(path), Err(PathError::Wrong(_))), "{path}");
        }
        let many: String = (0..=LABELS_MAX).map(|n| format!("/l{n}/v")).collect();
        assert!(matches!(GroupKey::of_path(&format!("job/j{many}")), Err(PathError::Wrong(_))));
    }
}
