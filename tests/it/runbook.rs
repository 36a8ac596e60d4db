//! The runbook's commands work as they are written: whoever was woken must not have to mend them.

use std::path::Path;
use std::process::Command;

use crate::harness::backend::Backend;
use crate::harness::setup::Setup;

/// Makes a command of the runbook speak to the balancer of this test, and fail where it is answered with an error.
const PRELUDE: &str = r#"
set -eu
plimsoll() { if [ "$1" = ctl ]; then "$PROGRAM" "$@" --admin "$ADMIN"; else "$PROGRAM" "$@"; fi; }
curl() { command curl --fail "$@"; }
"#;

#[test]
fn every_command_of_the_runbook_works() {
    let backends = [Backend::saying("one"), Backend::saying("two")];
    let balancer = Setup::over(&backends).start();
    assert_eq!(balancer.get("/").status(), 200);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let runbook = std::fs::read_to_string(root.join("monitoring/RUNBOOK.md")).expect("there is a runbook");
    let blocks: Vec<&str> =
        runbook.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() > 8, "the commands are found");
    let admin = balancer.admin.to_string();
    for block in blocks {
        // Its receiver of pushes stands in for a Pushgateway, whose API it has.
        let block = block.replace("127.0.0.1:9900", &admin).replace("127.0.0.1:9091", &admin);
        let script = format!("{PRELUDE}{block}");
        let ran = Command::new("sh")
            .args(["-c", &script])
            .env("PROGRAM", env!("CARGO_BIN_EXE_plimsoll"))
            .env("ADMIN", &admin)
            .current_dir(root)
            .output()
            .expect("there is a shell");
        let said = [ran.stdout, ran.stderr].concat();
        assert!(ran.status.success(), "{block}{}", String::from_utf8_lossy(&said));
    }
}
