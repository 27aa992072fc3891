//! A PostgreSQL server for one test, from Debian's packages. It listens on a Unix socket in its
//! own directory only, so it needs no port and no password.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::owner::temp_dir;
use crate::program::find;

/// User as whom the server runs if the test runs as root, which PostgreSQL refuses to be.
const USER: &str = "postgres";
/// Debian's directory with the programs of each version, which are not in `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";

/// A running server with one empty database. It is stopped and removed when this is dropped.
pub struct Postgres {
    directory: TempDir,
    programs: PathBuf,
    owner: Option<(u32, u32)>,
}

/// Returns a server. Where PostgreSQL is not installed, it prints one line, `SKIPPED: reason`, and
/// the test should return.
#[expect(clippy::print_stdout, reason = "./check counts these lines")]
pub fn postgres_or_skip() -> Option<Postgres> {
    let Some(programs) = programs() else {
        println!("SKIPPED: postgresql is not installed");
        return None;
    };
    let owner = match rustix::process::geteuid().is_root() {
        false => None,
        true => match owner_of(USER, &fs::read_to_string("/etc/passwd").unwrap_or_default()) {
            Some(owner) => Some(owner),
            None => {
                println!("SKIPPED: postgresql has no user {USER} here");
                return None;
            }
        },
    };
    let server = Postgres { directory: temp_dir(), programs, owner };
    server.create();
    server.start();
    Some(server)
}

impl Postgres {
    /// Returns the URL of the empty database.
    pub fn url(&self) -> String {
        let socket = self.directory.path().to_str().expect("a path in UTF-8").replace('/', "%2F");
        format!("postgresql://{USER}@{socket}/{USER}")
    }

    /// Runs one statement by `psql`, a client that is not ours, and returns its rows.
    pub fn query(&self, sql: &str) -> String {
        let socket = self.directory.path();
        let output = self.run("psql", |command| {
            command.args(["-v", "ON_ERROR_STOP=1", "-At", "-U", USER, "-d", USER, "-c", sql]);
            command.arg("-h").arg(socket)
        });
        String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
    }

    /// Starts the server and waits until it answers.
    pub fn start(&self) {
        let options = format!("-c listen_addresses= -k {}", self.directory.path().display());
        self.control("start", &["-o", &options]);
    }

    /// Stops the server at once, as a crash would: clients get no answer.
    pub fn stop(&self) {
        self.control("stop", &["-m", "immediate"]);
    }

    fn create(&self) {
        fs::set_permissions(self.directory.path(), fs::Permissions::from_mode(0o700))
            .expect("the directory");
        if let Some((uid, gid)) = self.owner {
            chown(self.directory.path(), Some(uid), Some(gid))
                .expect("root may give a directory away");
        }
        let data = self.data();
        self.run("initdb", |command| {
            // Without syncs: this data need not survive the machine.
            command.args(["-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]);
            command.arg("-D").arg(&data)
        });
    }

    fn control(&self, action: &str, more: &[&str]) {
        let (data, log) = (self.data(), self.directory.path().join("log"));
        self.run("pg_ctl", |command| {
            command.arg(action).args(["-w", "-s"]).args(more);
            command.arg("-D").arg(&data).arg("-l").arg(&log)
        });
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn run(&self, name: &str, with: impl Fn(&mut Command) -> &mut Command) -> Output {
        let mut command = Command::new(self.programs.join(name));
        if let Some((uid, gid)) = self.owner {
            command.uid(uid).gid(gid);
        }
        with(command.current_dir("/"));
        // The server inherits the output of pg_ctl, so the end of a pipe would never come.
        let errors = self.directory.path().join(format!("{name}.err"));
        let errors_of = |path: &Path| fs::File::create(path).expect("a log file");
        command.stdin(std::process::Stdio::null()).stderr(errors_of(&errors));
        let output = match name {
            "pg_ctl" => command.stdout(std::process::Stdio::null()).status().map(|status| Output {
                status,
                stdout: Vec::new(),
                stderr: Vec::new(),
            }),
            _ => command.output(),
        };
        let output = output.unwrap_or_else(|err| panic!("run {command:?}: {err}"));
        let log = || {
            let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
            format!("{}{}", read(errors.clone()), read(self.directory.path().join("log")))
        };
        assert!(output.status.success(), "{command:?}: {}: {}", output.status, log());
        output
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let pid_file = self.data().join("postmaster.pid");
        // A test may have stopped it, and one that panics must not panic twice.
        if pid_file.exists() && !std::thread::panicking() {
            self.stop();
        } else if let Ok(text) = fs::read_to_string(pid_file) {
            let pid = text.lines().next().and_then(|line| line.parse().ok());
            if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
                rustix::process::kill_process(pid, rustix::process::Signal::QUIT).ok();
            }
        }
    }
}

/// Returns the directory with the programs of the newest version.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, directory)| directory.join("initdb").is_file())
        .collect();
    versions.sort();
    let elsewhere = || Some(find("initdb")?.parent()?.to_owned());
    versions.pop().map(|(_, directory)| directory).or_else(elsewhere)
}

/// Returns user and group of a user in the text of passwd(5).
fn owner_of(user: &str, passwd: &str) -> Option<(u32, u32)> {
    let fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = fields.into_iter().find(|fields| fields.first() == Some(&user))?;
    Some((found.get(2)?.parse().ok()?, found.get(3)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_in_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\npostgres:x:101:104::/var:/bin/bash\n";
        assert_eq!(owner_of("postgres", passwd), Some((101, 104)));
        assert_eq!(owner_of("mail", passwd), None);
    }
}
