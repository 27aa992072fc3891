//! nginx between the agent and the gateway, which replaces refusals by a status of its own.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// nginx forks no workers here, so that its one process ends with the test.
pub struct Proxy {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl Proxy {
    /// Starts a proxy for `gateway` that answers 502 where the gateway refuses a file with 413.
    /// `None`, with a line that says so, if nginx is not installed.
    #[expect(clippy::print_stdout, reason = "./check counts these lines")]
    pub fn start(gateway: &str) -> Option<Proxy> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // The port is free until nginx binds it; nginx cannot choose one itself.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let config = dir.path().join("nginx.conf");
        std::fs::write(&config, nginx_conf(port, gateway)).expect("a written file");
        drop(listener);
        let child = Command::new("nginx")
            .arg("-p")
            .arg(dir.path())
            .arg("-c")
            .arg(&config)
            .stderr(Stdio::null())
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(err) => {
                println!("SKIPPED: nginx: {err}");
                return None;
            }
        };
        let proxy = Proxy { child, port, dir };
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        let log = || std::fs::read_to_string(proxy.dir.path().join("error.log"));
        assert!(s3up_testkit::wait_until(Duration::from_secs(20), listens), "{:?}", log());
        Some(proxy)
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Fails if it ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn nginx_conf(port: u16, gateway: &str) -> String {
    format!(
        "daemon off; master_process off; pid nginx.pid; error_log error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {{
    listen 127.0.0.1:{port};
    client_max_body_size 0;
    location / {{
      proxy_pass {gateway};
      proxy_request_buffering off;
      proxy_http_version 1.1;
      proxy_intercept_errors on;
      error_page 413 =502 /broken;
    }}
    location = /broken {{ internal; return 502; }}
  }}
}}
"
    )
}
