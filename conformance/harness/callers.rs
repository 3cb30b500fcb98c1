//! Programs of other projects that call a runtime: conmon, and containerd with its shim.

use super::{Call, Container, Result, check, machine, runtime, skip};
use anyhow::{Context, ensure};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use tempfile::TempDir;

/// A program that `hack/peers` has fetched, or that is installed.
pub fn find(name: &str) -> Result<PathBuf> {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin").join(name);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::iter::once(peers).chain(std::env::split_paths(&path).map(|dir| dir.join(name)));
    match places.find(|place| place.is_file()) {
        Some(found) => Ok(found),
        None => skip(format!("there is no {name}: hack/peers fetches it")),
    }
}

/// `$PATH` with the directory of `hack/peers` behind it: the runtime looks there for CRIU.
pub fn path() -> Result<OsString> {
    let own = std::env::var_os("PATH").unwrap_or_default();
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin");
    Ok(std::env::join_paths(std::env::split_paths(&own).chain([peers]))?)
}

/// A conmon, which monitors one container or one process of a container.
pub struct Conmon {
    /// The directory of its sockets, its log and its exit files.
    pub place: PathBuf,
    id: String,
    told: String,
}

impl Conmon {
    /// Has conmon create the container. conmon stays until the container ends. `options` are conmon's.
    pub fn create(container: &Container, options: &[&str]) -> Result<Self> {
        Self::launch(container, &container.bundle(), options)
    }

    /// Has conmon run a process in the container, as podman does.
    pub fn exec(container: &Container, process: &super::Value, options: &[&str]) -> Result<Self> {
        let place = container.aside("exec");
        fs::create_dir(&place)?;
        let spec = place.join("process");
        fs::write(&spec, process.to_string())?;
        let spec = spec.display().to_string();
        let more = ["--exec", "--exec-process-spec", &spec];
        Self::launch(container, &place, &[&more, options].concat())
    }

    fn launch(container: &Container, place: &Path, options: &[&str]) -> Result<Self> {
        let exits = place.join("exits");
        fs::create_dir_all(&exits)?;
        let id = container.id.clone();
        let mut command = Command::new(find("conmon")?);
        command.args(["--api-version", "1", "--full-attach", "-c", &id, "-u", &id, "-n", &id]);
        command.arg("-r").arg(&runtime::get().path).arg("-b").arg(place).arg("-p").arg(place.join("pid"));
        command.arg("--exit-dir").arg(&exits).arg("-l").arg(format!("k8s-file:{}", place.join("log").display()));
        command.arg(format!("--runtime-arg=--root={}", container.state_root().display())).args(options);
        let (mut told, pipe) = std::io::pipe()?;
        let number = pipe.as_raw_fd();
        // SAFETY: dup2(2) is one async-signal-safe system call, on a descriptor that is open until the child runs.
        unsafe {
            command.pre_exec(move || match libc::dup2(number, 3) {
                -1 => Err(std::io::Error::last_os_error()),
                _ => Ok(()),
            });
        }
        command
            .env("PATH", path()?)
            // conmon leaves its console socket there if nothing connects to it.
            .env("TMPDIR", place)
            .env("_OCI_SYNCPIPE", "3")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let status = command.status()?;
        ensure!(status.success(), "conmon: {status}");
        drop(pipe);
        let mut line = String::new();
        BufReader::new(&mut told).read_line(&mut line)?;
        Ok(Self { place: place.to_owned(), id, told: line })
    }

    /// The file in which conmon writes the pid that the runtime reported.
    pub fn pid_file(&self) -> PathBuf {
        self.place.join("pid")
    }

    /// The other end of the container's standard streams.
    pub fn attach(&self) -> Result<OwnedFd> {
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
        // The path itself may be too long for a socket.
        let place = File::open(&self.place)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/attach", place.as_raw_fd()));
        connect(socket.as_raw_fd(), &UnixAddr::new(&path)?)?;
        Ok(socket)
    }

    /// Sets the size of the terminal, as podman does when its user's window changes.
    pub fn resize(&self, rows: u16, columns: u16) -> Result {
        let mut control = File::options().write(true).open(self.place.join("ctl"))?;
        Ok(control.write_all(format!("1 {rows} {columns}\n").as_bytes())?)
    }

    /// The lines of the container's output in conmon's log.
    pub fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.place.join("log")).unwrap_or_default();
        text.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).map(str::to_owned).collect()
    }

    pub fn wait_log(&self, wanted: &str) -> Result {
        let found = check::eventually(wanted, || Ok(self.log().iter().any(|line| line == wanted)));
        found.with_context(|| format!("conmon's log: {:?}", self.log()))
    }

    /// The exit code that conmon passes to its engine.
    pub fn exit_code(&self) -> Result<String> {
        let path = self.place.join("exits").join(&self.id);
        let mut code = String::new();
        check::eventually("an exit file", || {
            code = fs::read_to_string(&path).unwrap_or_default();
            Ok(!code.is_empty())
        })?;
        Ok(code)
    }

    /// The line that conmon sends its engine through the pipe: a pid, or a negative number and a message.
    pub fn told(&self) -> &str {
        &self.told
    }
}

/// A containerd that the suite starts.
struct Daemon {
    process: Child,
    dir: TempDir,
}

static DAEMON: Mutex<Option<Daemon>> = Mutex::new(None);

/// The client of that containerd.
pub struct Ctr;

impl Ctr {
    /// A client of a daemon that answers. The first call starts the daemon.
    pub fn connect() -> Result<Self> {
        let (containerd, ctr) = (find("containerd")?, find("ctr")?);
        let mut daemon = DAEMON.lock().map_err(|_| anyhow::anyhow!("a test has panicked with containerd locked"))?;
        if daemon.is_none() {
            let started = Daemon::start(&containerd)?;
            let socket = started.dir.path().join("c.sock");
            check::eventually("a containerd that answers", || {
                let asked = Command::new(&ctr).arg("-a").arg(&socket).arg("version").output()?;
                Ok(asked.status.success())
            })
            .with_context(|| fs::read_to_string(started.dir.path().join("log")).unwrap_or_default())?;
            *daemon = Some(started);
        }
        Ok(Self)
    }

    /// A call of `ctr`.
    pub fn call<const N: usize>(&self, words: [&str; N]) -> Result<Call> {
        let daemon = DAEMON.lock().map_err(|_| anyhow::anyhow!("a test has panicked with containerd locked"))?;
        let dir = daemon.as_ref().context("a containerd")?.dir.path();
        Ok(Call::of(&find("ctr")?, ["-a"]).arg(dir.join("c.sock")).args(words))
    }

    fn remove_all(&self) -> Result {
        let list = self.call(["container", "ls", "--quiet"])?.output()?;
        for id in list.stdout.lines() {
            self.call(["task", "rm", "--force", id])?.output()?;
            self.call(["container", "rm", id])?.output()?;
        }
        Ok(())
    }

    /// `ctr run` of this container's root file system, with the runtime under test.
    pub fn run<const N: usize, const M: usize>(
        &self,
        container: &Container,
        options: [&str; N],
        words: [&str; M],
    ) -> Result<Call> {
        let group = format!("{}/{}", machine::cgroup_parent(), container.id);
        let call = self.call(["run", "--rootfs", "--cgroup", &group, "--runc-binary"])?;
        let call = call.arg(&runtime::get().path).args(options).arg(container.rootfs()).arg(&container.id);
        Ok(call.arg("/payload").args(words))
    }
}

impl Daemon {
    fn start(containerd: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("conformance-containerd-").tempdir()?;
        let place = dir.path().display();
        // Without the plugins that look for networks, images or engines on the machine.
        let config = format!(
            "version = 3\nroot = '{place}/root'\nstate = '{place}/state'\ndisabled_plugins = [\
             'io.containerd.grpc.v1.cri', 'io.containerd.cri.v1.images', 'io.containerd.cri.v1.runtime',\
             'io.containerd.internal.v1.opt', 'io.containerd.nri.v1.nri']\n\
             [grpc]\naddress = '{place}/c.sock'\n[ttrpc]\naddress = '{place}/t.sock'\n"
        );
        fs::write(dir.path().join("config"), config)?;
        // containerd looks for its shim in PATH.
        let shim = find("containerd-shim-runc-v2")?;
        let path = format!("{}:{}", shim.parent().unwrap_or(Path::new("/")).display(), std::env::var("PATH")?);
        let log = File::create(dir.path().join("log"))?;
        let mut command = Command::new(containerd);
        command.arg("-c").arg(dir.path().join("config")).env("PATH", path).stdin(Stdio::null());
        let process = command.stdout(log.try_clone()?).stderr(log).process_group(0).spawn()?;
        Ok(Self { process, dir })
    }
}

/// Removes the containers that failed tests have left, and stops the daemon if there is one.
pub fn leave() {
    let _ = Ctr.remove_all();
    if let Ok(mut daemon) = DAEMON.lock()
        && let Some(mut daemon) = daemon.take()
    {
        let _ = daemon.process.kill();
        let _ = daemon.process.wait();
    }
}
