use std::fs;

use tempfile::TempDir;

use super::*;

fn folder() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path().join("storage.data"));
    (folder, store)
}

#[test]
fn values_of_a_key_stay_in_the_order_in_which_they_were_added() {
    let (_folder, store) = folder();
    assert!(store.values("color").unwrap().is_empty(), "a file that is not there has no keys");
    for (key, value) in [("color", "red"), ("shape", ""), ("color", "green"), ("color", "red")] {
        store.add(key, value).unwrap();
    }
    assert_eq!(store.values("color").unwrap(), ["red", "green", "red"]);
    assert_eq!(store.values("shape").unwrap(), [""]);
    assert!(store.values("size").unwrap().is_empty());
}

#[test]
fn the_file_of_a_python_script_is_taken_over() {
    let (folder, store) = folder();
    fs::write(folder.path().join("storage.data"), r#"{"key": ["v1", "v2"]}"#).unwrap();
    assert_eq!(store.add("key", "v3").unwrap(), ["v1", "v2", "v3"]);
}

#[test]
fn a_damaged_file_is_refused_with_its_place_and_left_as_it_is() {
    let (folder, store) = folder();
    let path = folder.path().join("storage.data");
    for damaged in ["", "{\"key\": [\"v1\", \"v", "[]", "{\"a\": [\"1\"], \"a\": [\"2\"]}"] {
        fs::write(&path, damaged).unwrap();
        let refusals = [store.values("key").unwrap_err(), store.add("key", "v3").unwrap_err()];
        for refusal in refusals.map(|refusal| refusal.to_string()) {
            assert!(refusal.starts_with(&format!("{}:1:", path.display())), "{refusal}");
            assert!(refusal.contains("damaged"), "{refusal}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
    }
}

#[test]
fn bounds_hold_and_nothing_is_changed_by_what_passes_them() {
    let (folder, store) = folder();
    store.add(&"k".repeat(KEY_MAX), &"v".repeat(VALUE_MAX)).unwrap();
    let path = folder.path().join("storage.data");
    let before = fs::read(&path).unwrap();
    assert!(matches!(store.add(&"k".repeat(KEY_MAX + 1), ""), Err(Error::KeyTooLong { length: 1025 })));
    assert!(matches!(store.add("k", &"v".repeat(VALUE_MAX + 1)), Err(Error::ValueTooLong { length: 65537 })));
    assert_eq!(fs::read(&path).unwrap(), before);

    // As large as a file may be, to the byte.
    let frame = "{\"k\":[\"\"]}".len();
    let largest = format!("{{\"k\":[\"{}\"]}}", "v".repeat(FILE_MAX as usize - frame));
    fs::write(&path, &largest).unwrap();
    assert_eq!(store.values("k").unwrap().len(), 1);
    assert!(matches!(store.add("k", ""), Err(Error::Full { .. })));
    assert_eq!(fs::metadata(&path).unwrap().len(), FILE_MAX);
    fs::write(&path, largest + " ").unwrap();
    assert!(matches!(store.values("k"), Err(Error::Full { .. })));
}

#[test]
fn what_a_killed_process_left_behind_is_in_nobodys_way() {
    let (folder, store) = folder();
    store.add("key", "v1").unwrap();
    // It was killed while it wrote: half a new file, and a lock that nobody holds.
    fs::write(folder.path().join("storage.data.new"), "{\"key\": [\"v").unwrap();
    assert_eq!(store.values("key").unwrap(), ["v1"]);
    assert_eq!(store.add("key", "v2").unwrap(), ["v1", "v2"]);
    assert!(!folder.path().join("storage.data.new").exists());
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path());
    assert!(matches!(store.values("key"), Err(Error::NotAFile { .. })));
    assert!(matches!(store.add("key", "v"), Err(Error::NotAFile { .. })));
    let nowhere = Store::at(folder.path().join("missing").join("storage.data"));
    let refusal = nowhere.add("key", "v").unwrap_err().to_string();
    assert!(refusal.starts_with("cannot lock ") && refusal.contains("missing"), "{refusal}");
}

#[cfg(unix)]
#[test]
fn a_link_stays_a_link_and_permissions_stay_as_they_are() {
    use std::os::unix::fs::PermissionsExt as _;

    let (folder, store) = folder();
    store.add("key", "v1").unwrap();
    let path = folder.path().join("storage.data");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    Store::at(&link).add("key", "v2").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(store.values("key").unwrap(), ["v1", "v2"]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}
