//! A browser: headless Chromium, told what to do over the DevTools protocol, and asked what it shows.
//!
//! The protocol goes through two pipes, messages of JSON with a zero byte between them (`--remote-debugging-pipe`), so no
//! port is open and no WebSocket is needed. Chromium reads from descriptor 3 and writes to 4, which a shell makes of the
//! standard ones.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use super::pause;

/// How long the browser may take over anything: it is large, and starts on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program, of Debian's package of the same name.
const PROGRAM: &str = "chromium";

/// One browser at a time: each takes what a whole test run takes.
static TURN: Mutex<()> = Mutex::new(());

/// A browser with one page. It ends when it is dropped.
pub(crate) struct Browser {
    child: Child,
    input: ChildStdin,
    heard: Arc<Mutex<Heard>>,
    page: String,
    calls: u64,
    _profile: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// What the browser has said: answers by the number of their call, and events.
#[derive(Default)]
struct Heard {
    answers: HashMap<u64, Value>,
    events: Vec<Value>,
}

impl Browser {
    /// Starts a browser with an empty page. None where there is no Chromium, which is said.
    #[track_caller]
    pub(crate) fn start() -> Option<Self> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        if Command::new(PROGRAM)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_err()
        {
            let _ = writeln!(std::io::stderr(), "left out: {PROGRAM} is not installed; ./check installs it");
            return None;
        }
        let profile = tempfile::tempdir().expect("a temporary folder can be made");
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "sh", PROGRAM])
            // Without a sandbox, which needs rights that a container lacks: it shows our own page and nothing else.
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--remote-debugging-pipe", "--no-first-run", "--disable-background-networking"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Its many processes end with it.
            .process_group(0)
            .spawn()
            .expect("a shell can be started");
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let heard = Arc::<Mutex<Heard>>::default();
        listen(output.expect("invariant: piped"), Arc::clone(&heard));
        let input = input.expect("invariant: piped");
        let mut browser =
            Self { child, input, heard, page: String::new(), calls: 0, _profile: profile, _turn: turn };
        browser.attach();
        Some(browser)
    }

    /// Takes hold of the page that the browser has opened.
    #[track_caller]
    fn attach(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let page = loop {
            let targets = self.call("Target.getTargets", json!({}));
            let targets = targets["targetInfos"].as_array().cloned().unwrap_or_default();
            if let Some(page) = targets.iter().find(|target| target["type"] == "page") {
                break page["targetId"].clone();
            }
            assert!(Instant::now() < deadline, "the browser opens a page");
            pause(Duration::from_millis(20));
        };
        let attached = self.call("Target.attachToTarget", json!({ "targetId": page, "flatten": true }));
        self.page = attached["sessionId"].as_str().expect("a page can be attached to").to_owned();
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
    }

    /// Calls a method of the protocol, and returns its result.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if !self.page.is_empty() {
            message["sessionId"] = self.page.as_str().into();
        }
        let sent = self.input.write_all(format!("{message}\0").as_bytes());
        sent.expect("the browser takes what it is told");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(mut answer) = self.lock().answers.remove(&id) {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
            assert!(Instant::now() < deadline, "the browser answers {method}");
            pause(Duration::from_millis(2));
        }
    }

    /// Opens an address, and waits until it is loaded.
    #[track_caller]
    pub(crate) fn open(&mut self, address: &str) {
        self.call("Page.navigate", json!({ "url": address }));
        self.wait_for(&format!(
            "document.readyState === 'complete' && location.href.startsWith('{address}')"
        ));
    }

    /// Evaluates an expression in the page, and returns what it comes to; a promise is awaited.
    #[track_caller]
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", parameters);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Evaluates an expression that comes to a text.
    #[track_caller]
    pub(crate) fn text(&mut self, expression: &str) -> String {
        let value = self.eval(expression);
        assert!(value.is_string(), "{expression} is a text, not {value}");
        value.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true in the page.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.eval(&format!("Boolean({expression})")) != true {
            let page = (Instant::now() > deadline).then(|| self.text("document.body.innerText"));
            assert_eq!(page, None, "not within {PATIENCE:?}: {expression}; {:?}", self.complaints());
            pause(Duration::from_millis(10));
        }
    }

    /// Presses a key, such as `Tab`, `Enter` or `ArrowLeft`.
    #[track_caller]
    pub(crate) fn press(&mut self, key: &str) {
        let keys = [
            ("Tab", 9, ""),
            ("Enter", 13, "\r"),
            ("Escape", 27, ""),
            ("PageUp", 33, ""),
            ("End", 35, ""),
            ("Home", 36, ""),
            ("ArrowLeft", 37, ""),
            ("ArrowRight", 39, ""),
        ];
        let (_, code, text) =
            keys.into_iter().find(|(name, ..)| *name == key).expect("a key that is listed here");
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event =
                json!({ "type": kind, "key": key, "code": key, "text": text, "windowsVirtualKeyCode": code });
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Types a text into what has the focus.
    #[track_caller]
    pub(crate) fn type_in(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Shows the page on a screen of this size, in light or in dark.
    #[track_caller]
    pub(crate) fn screen(&mut self, width: u32, height: u32, scheme: &str) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// The addresses that the page has asked for so far.
    pub(crate) fn asked_for(&self) -> Vec<String> {
        let heard = self.lock();
        let asked = heard.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        asked.filter_map(|event| Some(event["params"]["request"]["url"].as_str()?.to_owned())).collect()
    }

    /// What the console says that is no good: errors and warnings of scripts, of the network, of the policy.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let heard = self.lock();
        let complaints = heard.events.iter().filter(|event| match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Log.entryAdded") => {
                matches!(event["params"]["entry"]["level"].as_str(), Some("error" | "warning"))
            }
            Some("Runtime.consoleAPICalled") => {
                matches!(event["params"]["type"].as_str(), Some("error" | "warning" | "assert"))
            }
            _ => false,
        });
        complaints.map(|event| event["params"].to_string()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(group) = group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Takes in what the browser says, on a thread of its own.
fn listen(output: impl std::io::Read + Send + 'static, heard: Arc<Mutex<Heard>>) {
    thread::spawn(move || {
        for message in BufReader::new(output).split(0).map_while(Result::ok) {
            let Ok(message) = serde_json::from_slice::<Value>(&message) else { continue };
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            match message["id"].as_u64() {
                Some(id) => drop(heard.answers.insert(id, message)),
                None => heard.events.push(message),
            }
        }
    });
}
