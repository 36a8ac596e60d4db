//! What the tools of Prometheus and Alertmanager say about the files that are for them.

use std::process::Command;

use crate::tree;

/// Runs a tool on files of the repository, and fails the calling test with what it says unless it is content.
#[track_caller]
fn is_content(program: &str, package: &str, words: &[&str], files: &[String]) {
    assert!(!files.is_empty(), "there are files for {program}");
    let ran = Command::new(program).args(words).args(files).current_dir(tree::root()).output();
    assert!(ran.is_ok(), "{program} cannot be started ({ran:?}): install Debian's package `{package}`");
    let output = ran.expect("invariant: just asserted");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{program} {}: {}", words.join(" "), String::from_utf8_lossy(&said));
}

/// The YAML files of a folder, not of those in it.
fn in_folder(folder: &str) -> Vec<String> {
    let files = tree::all().into_iter().map(|file| file.path);
    let ours = |path: &String| {
        path.rsplit_once('/').is_some_and(|(of, name)| of == folder && name.ends_with(".yml"))
    };
    files.filter(ours).collect()
}

#[test]
fn promtool_accepts_the_configuration_of_prometheus() {
    is_content("promtool", "prometheus", &["check", "config"], &["monitoring/prometheus.yml".to_owned()]);
}

#[test]
fn promtool_accepts_every_file_of_rules() {
    let files = [in_folder("monitoring/rules"), in_folder("monitoring/rules/demo")].concat();
    is_content("promtool", "prometheus", &["check", "rules"], &files);
}

#[test]
fn every_incident_raises_the_alerts_that_it_should() {
    is_content("promtool", "prometheus", &["test", "rules"], &in_folder("monitoring/rules/tests"));
}

#[test]
fn amtool_accepts_the_configuration_of_alertmanager() {
    let files = ["monitoring/alertmanager.yml".to_owned()];
    is_content("amtool", "prometheus-alertmanager", &["check-config"], &files);
}
