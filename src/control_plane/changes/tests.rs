//! What changes at run time promise beside the file.

use super::*;
use crate::control_plane::config;

/// A file with an upstream `app` of these backends, and another one.
fn file(backends: &str) -> Config {
    let yaml = format!(
        "listeners: {{web: {{address: '127.0.0.1:0'}}}}\nroutes: [{{upstream: app}}]\n\
         upstreams: {{app: {{backends: [{backends}]}}, other: {{backends: ['127.0.0.1:9']}}}}\n"
    );
    config::parse("test.yaml", &yaml, &|_| None).unwrap_or_else(|report| panic!("{report}")).0
}

fn change(action: Action) -> Change {
    Change { upstream: "app".into(), action, by: "a test".into() }
}

fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

fn add(text: &str) -> Change {
    let mut words = text.split(' ');
    let address = BackendAddress::parse(words.next().expect("an address")).expect("an address");
    let name = words.next().map(name);
    let weight = words.next().map(|weight| weight.parse().expect("a weight"));
    change(Action::Add(Addition { name, address, weight }))
}

fn remove(name: &str) -> Change {
    change(Action::Remove(name.into()))
}

/// The backends of `app` that are in force.
fn backends(changes: &Changes, file: &Config) -> Vec<String> {
    let config = changes.over(file);
    let backends = config.upstreams[0].backends.iter();
    backends.map(|backend| format!("{} {} {}", backend.name, backend.address, backend.weight)).collect()
}

fn made(file: &Config, wishes: &[Change]) -> Changes {
    let mut changes = Changes::default();
    for wish in wishes {
        changes.make(wish, file).unwrap_or_else(|refused| panic!("{wish:?}: {refused}"));
    }
    changes
}

fn refusal(changes: &Changes, file: &Config, wish: &Change) -> String {
    let mut after = changes.clone();
    let refused = after.make(wish, file).expect_err("it is refused").to_string();
    assert_eq!(after, *changes, "nothing has changed");
    refused
}

#[test]
fn who_is_added_comes_last_and_who_is_removed_is_gone() {
    let file = file("'127.0.0.1:1', '127.0.0.1:2'");
    let mut changes = made(&file, &[add("127.0.0.1:4"), add("app.internal:5 extra 7"), remove("backend-1")]);
    let expected = ["backend-2 127.0.0.1:2 1", "backend-3 127.0.0.1:4 1", "extra app.internal:5 7"];
    assert_eq!(backends(&changes, &file), expected);
    assert_eq!(changes.over(&file).upstreams[1], file.upstreams[1], "the other one is as it was");
    changes.make(&remove("extra"), &file).expect("it is there");
    changes.make(&remove("backend-3"), &file).expect("it is there");
    assert_eq!(changes.len(), 1, "of what was added nothing is left");
    changes.make(&add("127.0.0.1:1"), &file).expect("it is free");
    assert!(changes.is_empty(), "what was removed is back, under its name: {changes:?}");
}

#[test]
fn what_contradicts_is_refused_and_says_what_to_do() {
    let file = file("'127.0.0.1:1', '127.0.0.1:2', {name: third, address: '127.0.0.1:3'}");
    let changes = made(&file, &[remove("third"), add("127.0.0.1:4 fourth")]);
    for (wish, said) in [
        (add("127.0.0.1:9 backend-1"), "has a backend `backend-1` already, at 127.0.0.1:1; remove it first"),
        (add("127.0.0.1:9 fourth"), "at 127.0.0.1:4; remove it first, or choose another name"),
        (add("127.0.0.1:2 more"), "`backend-2` of `app` has the address 127.0.0.1:2 already"),
        (add("127.0.0.1:9 third"), "the file names `third` of `app` at 127.0.0.1:3, and it was removed"),
        (add("127.0.0.1:3 more"), "the file names `third` of `app` at 127.0.0.1:3, and it was removed"),
        (remove("third"), "there is no backend of this name; there is backend-1, backend-2, fourth"),
        (change(Action::Weigh("x".into(), 1)), "there is no backend of this name"),
        (
            Change { upstream: "ap".into(), ..remove("fourth") },
            "there is no upstream of this name; there is app, other",
        ),
    ] {
        let refused = refusal(&changes, &file, &wish);
        assert!(refused.contains(said), "{said} in {refused}");
    }
    let last = Change { upstream: "other".into(), ..remove("backend-1") };
    assert!(
        refusal(&changes, &file, &last)
            .contains("last backend of `other`, which needs one; add another first")
    );
}

#[test]
fn no_more_are_added_than_so_many() {
    let file = file("'127.0.0.1:1'");
    let mut changes = Changes::default();
    for port in 2..u16::try_from(ADDED_MAX).expect("it fits") + 2 {
        changes.make(&add(&format!("127.0.0.1:{port}")), &file).expect("there is room");
    }
    assert!(refusal(&changes, &file, &add("127.0.0.2:1")).contains("write them into the file"));
}

#[test]
fn what_is_taken_back_leaves_nothing() {
    let file = file("{address: '127.0.0.1:1', weight: 3}");
    let wishes = |drain: Action, weight| [change(drain), change(Action::Weigh("backend-1".into(), weight))];
    let mut changes = made(&file, &wishes(Action::Drain("backend-1".into()), 5));
    assert_eq!(changes.len(), 1);
    for wish in wishes(Action::Ready("backend-1".into()), 3) {
        changes.make(&wish, &file).expect("it is there");
    }
    assert!(changes.is_empty(), "{changes:?}");
}

#[test]
fn a_file_that_says_the_same_as_before_overrules_nothing() {
    let file = file("'127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3'");
    let wishes = [
        add("127.0.0.1:4 extra"),
        remove("backend-2"),
        change(Action::Drain("backend-1".into())),
        change(Action::Weigh("backend-3".into(), 0)),
        change(Action::Weigh("extra".into(), 9)),
    ];
    let changes = made(&file, &wishes);
    let mut settled = changes.clone();
    assert_eq!(settled.settle(&file), Settled::new());
    assert_eq!(settled, changes);
}

#[test]
fn what_the_file_overrules_is_left_out_and_said() {
    let before = file("'127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3', {name: gone, address: '127.0.0.1:8'}");
    let mut changes = made(
        &before,
        &[
            add("127.0.0.1:4 named"),
            add("127.0.0.1:5 twin"),
            remove("backend-2"),
            change(Action::Weigh("backend-3".into(), 5)),
            change(Action::Drain("gone".into())),
            Change { upstream: "other".into(), ..add("127.0.0.1:4 far") },
        ],
    );
    let mut after = file(
        "'127.0.0.1:1', '127.0.0.2:2', {name: backend-3, address: '127.0.0.1:3', weight: 2}, \
         {name: named, address: '127.0.0.9:4'}, {name: owner, address: '127.0.0.1:5'}",
    );
    after.upstreams.truncate(1);
    let said = changes.settle(&after);
    assert_eq!(
        said,
        [
            "a change of app/named at run time is left out: it is named, at 127.0.0.9:4, in the file",
            "a change of app/twin at run time is left out: `owner` has its address 127.0.0.1:5 in the file",
            "a change of app/backend-2 at run time is left out: it has another address, 127.0.0.2:2, in the file",
            "a change of app/backend-3 at run time is left out: it has another weight, 2, in the file",
            "a change of app/gone at run time is left out: it is not named any more in the file",
            "a change of other/far at run time is left out: there is no upstream `other` in the file",
        ]
    );
    assert!(changes.is_empty(), "{changes:?}");
}

#[test]
fn a_removal_that_the_file_has_followed_is_done() {
    let mut changes = made(&file("'127.0.0.1:1', '127.0.0.1:2'"), &[remove("backend-2")]);
    let after = file("'127.0.0.1:1'");
    assert_eq!(changes.settle(&after), Settled::new(), "nothing is lost by it");
    assert!(changes.is_empty());
}

#[test]
fn an_upstream_is_never_left_without_a_backend() {
    let mut changes = made(&file("'127.0.0.1:1', '127.0.0.1:2'"), &[remove("backend-1")]);
    let after = file("'127.0.0.1:1'");
    let said = changes.settle(&after);
    assert!(matches!(&said[..], [one] if one.contains("they are back")), "{said:?}");
    assert_eq!(backends(&changes, &after), ["backend-1 127.0.0.1:1 1"]);
}

mod kept {
    use std::fs;

    use super::*;

    fn at(directory: &tempfile::TempDir) -> Kept {
        Kept::at(&directory.path().join("changes.json"))
    }

    #[test]
    fn links_and_permissions_are_respected() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};

        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let mode = |name| fs::metadata(path(name)).expect("it is there").permissions().mode() & 0o777;
        fs::write(path("precious"), "untouched").expect("it can be written");
        symlink(path("precious"), path("real.json.new")).expect("a link");
        Kept::at(&path("real.json")).write(&Changes::default()).expect("it can be written");
        assert_eq!(fs::read_to_string(path("precious")).expect("it is there"), "untouched");
        assert_eq!(mode("real.json"), 0o600, "a new file is its owner's");
        fs::set_permissions(path("real.json"), fs::Permissions::from_mode(0o640)).expect("it is ours");
        symlink(path("real.json"), path("changes.json")).expect("a link");
        at(&directory).write(&Changes::default()).expect("it can be written");
        assert!(
            fs::symlink_metadata(path("changes.json")).expect("it is there").is_symlink(),
            "a link stays one"
        );
        assert_eq!(mode("real.json"), 0o640, "its permissions stay");
    }

    #[test]
    fn what_is_written_is_read_again_and_people_can_read_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let kept = at(&directory);
        assert_eq!(kept.read().expect("it need not be there"), Changes::default());
        let file = file("'127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3'");
        let wishes = [
            add("app.internal:4 extra"),
            remove("backend-2"),
            change(Action::Drain("backend-1".into())),
            change(Action::Weigh("backend-1".into(), 5)),
        ];
        let changes = made(&file, &wishes);
        kept.write(&changes).expect("it can be written");
        assert_eq!(kept.read().expect("it is ours"), changes);
        let text = fs::read_to_string(kept.path()).expect("it is there");
        insta::assert_snapshot!(text, @r#"
        {
          "version": 1,
          "changes": [
            {
              "upstream": "app",
              "backend": "extra",
              "added": {
                "address": "app.internal:4",
                "weight": 1
              }
            },
            {
              "upstream": "app",
              "backend": "backend-2",
              "removed": {
                "address": "127.0.0.1:2"
              }
            },
            {
              "upstream": "app",
              "backend": "backend-1",
              "weight": {
                "now": 5,
                "configured": 1
              },
              "drained": true
            }
          ]
        }
        "#);
        let left: Vec<_> = fs::read_dir(directory.path()).expect("it can be read").collect();
        assert_eq!(left.len(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_that_is_not_ours_is_an_error_with_its_place_and_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let kept = at(&directory);
        let entry = |more: &str| {
            format!(
                "{{\"version\": 1, \"changes\": [\n {{\"upstream\": \"app\", \"backend\": \"b\"{more}}}]}}"
            )
        };
        let twice = entry("}, {\"upstream\": \"app\", \"backend\": \"b\"");
        for (text, said) in [
            (String::new(), "changes.json:1:0: EOF"),
            ("{\"version\": 2, \"entries\": 7}".to_owned(), "version 2 is not 1"),
            (entry(", \"drain\": true"), "changes.json:2:"),
            (entry(", \"added\": {\"address\": \"nowhere\", \"weight\": 1}"), "changes.json:2:"),
            (entry(", \"added\": {\"address\": \"a:1\", \"weight\": 1001}"), "is more than 1000"),
            (
                entry(
                    ", \"added\": {\"address\": \"a:1\", \"weight\": 1}, \"removed\": {\"address\": \"a:1\"}",
                ),
                "both",
            ),
            (twice, "app/b has two entries"),
        ] {
            fs::write(kept.path(), &text).expect("it can be written");
            let error = kept.read().expect_err("it is not ours").to_string();
            assert!(error.contains(said) && error.contains("mend it, or move it away"), "{said} in {error}");
            assert_eq!(fs::read_to_string(kept.path()).expect("it is there"), text);
        }
    }

    #[test]
    fn a_write_that_fails_leaves_what_was_there() {
        let directory = tempfile::tempdir().expect("a directory");
        let kept = at(&directory);
        let first = made(&file("'127.0.0.1:1'"), &[add("127.0.0.1:2")]);
        kept.write(&first).expect("it can be written");
        // Where the new file would be made there is a directory.
        fs::create_dir(directory.path().join("changes.json.new")).expect("it can be made");
        kept.write(&Changes::default()).expect_err("it is in the way");
        assert_eq!(kept.read().expect("it is ours"), first);
    }
}
