//! A headless Chromium, driven by WebDriver: a handful of requests in JSON to `chromedriver`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Client;
use s3up_testkit::{CLOCK, find_program};
use serde_json::{Value, json};

/// Longest wait for a condition in a page. A live update comes every 10 seconds.
const WAIT_MAX: Duration = Duration::from_secs(30);
const POLL_PAUSE: Duration = Duration::from_millis(50);
/// The key of an element in JSON, which the standard fixes.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Height of a screen, and the most that a picture shows of a page.
const HEIGHT: u64 = 900;
const HEIGHT_MAX: u64 = 4000;

/// Returns the programs, or prints why the tests do not run.
#[expect(clippy::print_stdout, reason = "./check counts these lines")]
pub fn programs_or_skip() -> Option<Programs> {
    if std::env::var_os("S3UP_TEST_BROWSER").is_none() {
        println!("NOT RUN: S3UP_TEST_BROWSER is not set");
        return None;
    }
    let (Some(chromium), Some(driver)) = (find_program("chromium"), find_program("chromedriver"))
    else {
        println!("SKIPPED: chromium is not installed");
        return None;
    };
    let axe = std::env::var_os("S3UP_AXE").map(PathBuf::from);
    let axe = axe.expect("S3UP_AXE names the file of axe-core; scripts/install.sh has it");
    Some(Programs { chromium, driver, axe })
}

pub struct Programs {
    chromium: PathBuf,
    driver: PathBuf,
    axe: PathBuf,
}

/// A browser with one window. It is killed when this is dropped.
pub struct Browser {
    driver: Child,
    session: String,
    http: Client,
    axe: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub async fn start(programs: &Programs) -> Browser {
        let mut driver = Command::new(&programs.driver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver runs");
        let mut lines = BufReader::new(driver.stdout.take().expect("its output")).lines();
        let port = lines.find_map(|line| {
            let line = line.expect("text");
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        // It must never wait for its output.
        std::thread::spawn(move || lines.for_each(drop));
        let base = format!("http://127.0.0.1:{}", port.expect("a port"));
        let profile = tempfile::tempdir().expect("a directory");
        let user_data = format!("--user-data-dir={}", profile.path().display());
        // Root has no sandbox, and a container a small /dev/shm.
        let mut arguments = vec![
            "--headless",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-background-networking",
            "--force-prefers-reduced-motion",
            "--hide-scrollbars",
            "--lang=en-US",
        ];
        arguments.push(&user_data);
        let options = json!({"binary": programs.chromium, "args": arguments});
        let wanted = json!({"browserName": "chrome", "goog:chromeOptions": options,
                            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}});
        let http = Client::builder().no_proxy().build().expect("a client");
        let answer = http
            .post(format!("{base}/session"))
            .json(&json!({"capabilities": {"alwaysMatch": wanted}}));
        let answer: Value = answer.send().await.expect("an answer").json().await.expect("JSON");
        let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("{answer}"));
        let session = format!("{base}/session/{id}");
        let axe = std::fs::read_to_string(&programs.axe).expect("axe-core");
        Browser { driver, session, http, axe, _profile: profile }
    }

    async fn post(&self, call: &str, body: Value) -> Value {
        let request = self.http.post(format!("{}{call}", self.session)).json(&body);
        let answer = request.send().await.expect("an answer");
        let (status, mut answer) = (answer.status(), answer.json::<Value>().await.expect("JSON"));
        assert!(status.is_success(), "{call}: {answer}");
        answer["value"].take()
    }

    async fn get(&self, call: &str) -> Value {
        let answer = self.http.get(format!("{}{call}", self.session)).send().await;
        let mut answer: Value = answer.expect("an answer").json().await.expect("JSON");
        answer["value"].take()
    }

    /// Sends a command of the DevTools protocol.
    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", json!({"cmd": command, "params": parameters})).await
    }

    pub async fn go(&self, url: &str) {
        self.post("/url", json!({"url": url})).await;
    }

    pub async fn url(&self) -> String {
        self.get("/url").await.as_str().expect("a URL").to_owned()
    }

    /// Runs a script in the page and returns its result.
    pub async fn script(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({"script": script, "args": []})).await
    }

    pub async fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({}).innerText", json!(selector));
        self.script(&script).await.as_str().expect("text").to_owned()
    }

    async fn element(&self, selector: &str) -> String {
        let found = json!({"using": "css selector", "value": selector});
        let found = self.post("/element", found).await;
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    /// Clicks as a person does: the element must be visible.
    pub async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.post(&format!("/element/{element}/click"), json!({})).await;
    }

    pub async fn type_text(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        self.post(&format!("/element/{element}/value"), json!({"text": text})).await;
    }

    /// Waits until a script returns true.
    pub async fn wait_for(&self, script: &str) {
        let began = CLOCK.start();
        while self.script(script).await != json!(true) {
            assert!(began.elapsed() < WAIT_MAX, "{script}: {}", self.text("body").await);
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }

    /// Sets the width of the screen and the colour scheme.
    pub async fn screen(&self, width: u64, scheme: &str) {
        self.size(width, HEIGHT).await;
        let feature = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": feature})).await;
    }

    async fn size(&self, width: u64, height: u64) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Writes a picture of the whole page.
    pub async fn picture(&self, file: &Path, width: u64) {
        let height = self.script("return document.documentElement.scrollHeight").await;
        self.size(width, height.as_u64().expect("a number").clamp(400, HEIGHT_MAX)).await;
        let picture = self.get("/screenshot").await;
        self.size(width, HEIGHT).await;
        let picture = STANDARD.decode(picture.as_str().expect("a picture")).expect("base64");
        std::fs::write(file, picture).expect("a file");
    }

    /// Returns true if the page is wider than its screen.
    pub async fn overflows(&self) -> bool {
        let script =
            "const page = document.documentElement; return page.scrollWidth > page.clientWidth";
        self.script(script).await == json!(true)
    }

    /// Returns the faults that axe-core finds: their rule, and the elements.
    pub async fn accessibility_faults(&self) -> Vec<String> {
        let has_axe = self.script("return typeof axe !== 'undefined'").await;
        if has_axe != json!(true) {
            self.script(&self.axe).await;
        }
        let run = "const done = arguments[arguments.length - 1]; \
                   axe.run(document, {resultTypes: ['violations']}).then(done, error => done(String(error)))";
        let found = self.post("/execute/async", json!({"script": run, "args": []})).await;
        let violations = found["violations"].as_array().unwrap_or_else(|| panic!("axe: {found}"));
        let rules = found["passes"].as_array().map_or(0, Vec::len);
        assert!(rules > 5, "axe applied only {rules} rules");
        let fault = |fault: &Value| {
            let nodes = fault["nodes"].as_array().expect("nodes").iter().take(5);
            let nodes: Vec<_> = nodes.map(|node| node["html"].to_string()).collect();
            format!("{}: {}: {}", fault["id"], fault["help"], nodes.join("\n  "))
        };
        violations.iter().map(fault).collect()
    }

    /// Returns the messages of the console since the last call.
    pub async fn console(&self) -> Vec<String> {
        let log = self.post("/se/log", json!({"type": "browser"})).await;
        log.as_array().expect("a log").iter().map(|line| line["message"].to_string()).collect()
    }

    /// Returns the URLs of all requests since the last call.
    pub async fn requests(&self) -> Vec<String> {
        let log = self.post("/se/log", json!({"type": "performance"})).await;
        let url = |line: &Value| -> Option<String> {
            let event: Value = serde_json::from_str(line["message"].as_str()?).ok()?;
            let event = &event["message"];
            if event["method"] != "Network.requestWillBeSent" {
                return None;
            }
            Some(event["params"]["request"]["url"].as_str()?.to_owned())
        };
        log.as_array().expect("a log").iter().filter_map(url).collect()
    }

    /// Ends the browser, which then leaves no process behind.
    pub async fn stop(self) {
        let ended = self.http.delete(&self.session).send().await.expect("an answer");
        assert!(ended.status().is_success());
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended already.
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}
