//! `--probe URL`: what the health check of an image without a shell runs.

use tokio::process::Command;

use crate::gateway::{Gateway, nobody};
use crate::running::PROGRAM;

/// Returns the exit status and what was said.
async fn probed(url: &str) -> (Option<i32>, String) {
    let run = Command::new(PROGRAM).args(["--probe", url]).output().await.unwrap();
    (run.status.code(), String::from_utf8(run.stderr).unwrap())
}

#[tokio::test]
async fn it_exits_with_0_for_an_answer_that_is_well_and_else_with_1_and_the_reason() {
    for (answer, status) in
        [("200 OK", 0), ("302 Found", 0), ("404 Not Found", 1), ("503 Service Unavailable", 1)]
    {
        let server = Gateway::start(&format!("HTTP/1.1 {answer}\r\ncontent-length: 4\r\n\r\nword")).await;
        let (code, said) = probed(&format!("{}/health?full", server.url())).await;
        assert_eq!(code, Some(status), "{answer}: {said}");
        assert_eq!(said.contains(answer) && said.contains("word"), status == 1, "{said}");
        assert!(server.requests()[0].starts_with("GET /health?full HTTP/1.1\r\n"));
    }
    let (code, said) = probed(&format!("http://{}", nobody())).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("refused"), "{said}");
    let (code, said) = probed("https://127.0.0.1/").await;
    assert_eq!(code, Some(2), "that is a mistake of the command line: {said}");
}
