use super::*;
use crate::story::tests::restart;

#[test]
fn a_report_makes_its_folder_and_replaces_an_earlier_report() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("reports/today");
    for _ in 0..2 {
        let folder = Folder::claim(&path).unwrap();
        folder.write(&Story::tell(&restart())).unwrap();
    }
    let mut names: Vec<String> =
        fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let pictures =
        ["cpu-per-backend", "latency", "rps-per-backend", "share-per-backend", "states", "total-rps"];
    let mut expected: Vec<String> = pictures.map(|name| format!("{name}.svg")).to_vec();
    expected.extend(["index.html".to_owned(), "report.md".to_owned()]);
    expected.sort();
    assert_eq!(names, expected);
    assert!(names.iter().all(|name| is_ours(&path.join(name)).unwrap()));
}

#[test]
fn what_is_no_report_is_left_alone() {
    for name in ["index.html", "report.md", "states.svg"] {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join(name);
        fs::write(&file, "<title>somebody's</title>").unwrap();
        let error = Folder::claim(place.path()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("not from a report"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "<title>somebody's</title>");
    }
}

#[test]
fn other_files_beside_a_report_do_not_matter() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("notes.txt"), "mine").unwrap();
    Folder::claim(place.path()).unwrap().write(&Story::tell(&restart())).unwrap();
    assert_eq!(fs::read_to_string(place.path().join("notes.txt")).unwrap(), "mine");
}

#[test]
fn a_place_that_is_no_folder_is_named() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Folder::claim(&file).unwrap_err().to_string();
    assert!(error.contains("cannot write to the folder") && error.contains("file"), "{error}");
}

#[test]
fn a_file_that_appeared_during_the_run_is_not_overwritten() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::claim(place.path()).unwrap();
    fs::write(place.path().join("report.md"), "mine").unwrap();
    assert!(matches!(folder.write(&Story::tell(&restart())), Err(FolderError::NotOurs(_))));
}
