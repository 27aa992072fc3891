//! Filesystems for one test each: on loop devices, in memory, and in user space.
//!
//! Needs root, and for each filesystem the Debian package of its tools. A test
//! that cannot have them prints `SKIPPED: reason`, which `./check` counts.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Size of the image of a filesystem on a loop device; xfs needs 300 MiB.
const IMAGE_BYTES: u64 = 512 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    /// ext4 with inodes of 128 bytes, whose stamps are whole seconds.
    Ext4WholeSeconds,
    Xfs,
    Btrfs,
    Tmpfs,
    Overlay,
    Bindfs,
    Mergerfs,
    Sshfs,
}

/// A mounted filesystem. Dropping it unmounts it and ends its processes.
pub struct Mount {
    pub kind: Kind,
    pub path: PathBuf,
    dir: TempDir,
    /// Servers and filesystems in user space, in the order of their start.
    children: Vec<Child>,
    port: u16,
}

impl Kind {
    pub const ALL: [Kind; 9] = [
        Kind::Ext4,
        Kind::Ext4WholeSeconds,
        Kind::Xfs,
        Kind::Btrfs,
        Kind::Tmpfs,
        Kind::Overlay,
        Kind::Bindfs,
        Kind::Mergerfs,
        Kind::Sshfs,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Ext4 => "ext4",
            Kind::Ext4WholeSeconds => "ext4, 128-byte inodes",
            Kind::Xfs => "xfs",
            Kind::Btrfs => "btrfs",
            Kind::Tmpfs => "tmpfs",
            Kind::Overlay => "overlayfs",
            Kind::Bindfs => "bindfs",
            Kind::Mergerfs => "mergerfs",
            Kind::Sshfs => "sshfs",
        }
    }

    fn programs(self) -> &'static [&'static str] {
        match self {
            Kind::Ext4 | Kind::Ext4WholeSeconds => &["mkfs.ext4"],
            Kind::Xfs => &["mkfs.xfs"],
            Kind::Btrfs => &["mkfs.btrfs"],
            Kind::Tmpfs | Kind::Overlay => &["mount"],
            Kind::Bindfs => &["bindfs"],
            Kind::Mergerfs => &["mergerfs"],
            Kind::Sshfs => &["sshfs", "sshd", "ssh-keygen"],
        }
    }
}

impl Mount {
    /// Returns a new filesystem, or `None` after it has printed why there is none.
    #[expect(clippy::print_stdout, reason = "./check counts these lines")]
    pub fn new(kind: Kind) -> Option<Mount> {
        if !s3up_testkit::btrfs_or_skip() {
            return None;
        }
        if let Some(program) = kind.programs().iter().find(|program| !is_installed(program)) {
            println!("SKIPPED: {program} is not installed");
            return None;
        }
        let dir = s3up_testkit::temp_dir();
        let path = dir.path().join("mount");
        std::fs::create_dir(&path).expect("a new directory");
        let mut mount = Mount { kind, path, dir, children: Vec::new(), port: 0 };
        mount.mount();
        Some(mount)
    }

    /// Unmounts the filesystem and mounts it again, with the same files.
    pub fn remount(&mut self) {
        self.unmount();
        self.mount();
    }

    pub fn unmount(&mut self) {
        run(Command::new("umount").arg(&self.path));
        self.end_children();
    }

    pub fn mount(&mut self) {
        match self.kind {
            Kind::Ext4 => self.loop_device(&["mkfs.ext4", "-q", "-I", "256"]),
            Kind::Ext4WholeSeconds => self.loop_device(&["mkfs.ext4", "-q", "-I", "128"]),
            Kind::Xfs => self.loop_device(&["mkfs.xfs", "-q"]),
            Kind::Btrfs => self.loop_device(&["mkfs.btrfs", "-q"]),
            Kind::Tmpfs => {
                run(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&self.path))
            }
            Kind::Overlay => self.overlay(),
            Kind::Bindfs => self.fuse("bindfs", &["-f".into(), self.source().into()]),
            Kind::Mergerfs => self.fuse("mergerfs", &["-f".into(), self.source().into()]),
            Kind::Sshfs => self.sshfs(),
        }
    }

    /// Returns the directory that a filesystem in user space serves.
    pub fn below(&self) -> Option<PathBuf> {
        let is_fuse = matches!(self.kind, Kind::Bindfs | Kind::Mergerfs | Kind::Sshfs);
        is_fuse.then(|| self.source())
    }

    fn source(&self) -> PathBuf {
        let source = self.dir.path().join("source");
        std::fs::create_dir_all(&source).expect("a new directory");
        source
    }

    fn loop_device(&self, mkfs: &[&str]) {
        let image = self.dir.path().join("image");
        if !image.exists() {
            let file = std::fs::File::create(&image).expect("a new file");
            file.set_len(IMAGE_BYTES).expect("a sparse file");
            run(Command::new(mkfs[0]).args(&mkfs[1..]).arg(&image));
        }
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&self.path));
    }

    fn overlay(&self) {
        let dir = |name| {
            let dir = self.dir.path().join(name);
            std::fs::create_dir_all(&dir).expect("a new directory");
            dir.display().to_string()
        };
        let options =
            format!("lowerdir={},upperdir={},workdir={}", dir("lower"), dir("upper"), dir("work"));
        run(Command::new("mount")
            .args(["-t", "overlay", "overlay", "-o"])
            .arg(options)
            .arg(&self.path));
    }

    fn sshfs(&mut self) {
        let (dir, served) = (self.dir.path().to_owned(), self.source());
        let file = |name: &str| dir.join(name).display().to_string();
        if self.port == 0 {
            for name in ["host-key", "key"] {
                run(Command::new("ssh-keygen")
                    .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                    .arg(file(name)));
            }
            let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
            self.port = socket.local_addr().expect("an address").port();
        }
        std::fs::create_dir_all("/run/sshd").expect("the directory of sshd");
        let config = format!(
            "Port {}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\n\
             UsePAM no\nPermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\nPidFile none\n",
            self.port,
            file("host-key"),
            file("key.pub")
        );
        std::fs::write(file("sshd.conf"), config).expect("a written file");
        self.start(Command::new("/usr/sbin/sshd").args(["-D", "-f"]).arg(file("sshd.conf")));
        let port = self.port;
        wait("sshd listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        let options = [
            format!("port={port},IdentityFile={}", file("key")),
            "StrictHostKeyChecking=no,UserKnownHostsFile=/dev/null,BatchMode=yes".to_owned(),
            // By default sshfs tells the attributes of up to 20 seconds ago.
            "dir_cache=no,attr_timeout=0".to_owned(),
        ];
        let mut arguments = vec!["-f".to_owned(), format!("root@127.0.0.1:{}", served.display())];
        for option in options {
            arguments.extend(["-o".to_owned(), option]);
        }
        let arguments: Vec<_> = arguments.into_iter().map(Into::into).collect();
        self.fuse("sshfs", &arguments);
    }

    fn fuse(&mut self, program: &str, arguments: &[std::ffi::OsString]) {
        let mut command = Command::new(program);
        command.args(arguments).arg(&self.path);
        self.start(&mut command);
        let path = self.path.clone();
        wait("it is mounted", || {
            Command::new("mountpoint").arg("-q").arg(&path).status().is_ok_and(|s| s.success())
        });
    }

    fn start(&mut self, command: &mut Command) {
        let log =
            std::fs::File::create(self.dir.path().join(format!("log-{}", self.children.len())))
                .expect("a log file");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.children.push(child.expect("a started program"));
    }

    fn end_children(&mut self) {
        for mut child in self.children.drain(..).rev() {
            // Fails if it ended with its mount.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily, since a failed test may have left files open.
        Command::new("umount").arg("-l").arg(&self.path).stderr(Stdio::null()).status().ok();
        self.end_children();
    }
}

fn is_installed(program: &str) -> bool {
    ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
        .iter()
        .any(|dir| Path::new(dir).join(program).exists())
}

fn run(command: &mut Command) {
    let output = command.output().expect("a program that starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn wait(what: &str, condition: impl FnMut() -> bool) {
    assert!(
        s3up_testkit::wait_until(std::time::Duration::from_secs(20), condition),
        "timed out while waiting until {what}"
    );
}
