//! The runtime as conmon and containerd's shim call it: their arguments, and their use of the answers.

use crate::harness::*;
use anyhow::ensure;
use nix::sys::signal::Signal;
use nix::unistd::{read, write};
use std::fs;

tests![
    conmon_terminal,
    conmon_pipes,
    conmon_exec_with_a_terminal,
    conmon_exec_of_a_missing_program,
    conmon_create_that_fails,
    conmon_terminal_that_fails,
    containerd_run,
    containerd_terminal,
    containerd_exec,
    containerd_exec_with_a_terminal,
    containerd_pause_and_resume,
    containerd_sees_the_cgroup,
    containerd_kill_and_delete,
    containerd_missing_program,
    containerd_exec_of_a_missing_program,
];

fn pts(bundle: Bundle) -> Bundle {
    let options = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
    bundle.mount(json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": options }))
}

/// A session: create, attach, start, a new window size, a typed line, the exit code.
fn conmon_terminal() -> Result {
    let words = ["winch", "40x120", ",", "echo", "ready", ",", "line", ",", "exit", "7"];
    let container = pts(Bundle::new(words)).set("/process/terminal", true).build()?;
    let conmon = Conmon::create(&container, &["-t"])?;
    equal("pid file", fs::read_to_string(conmon.pid_file())?, container.pid()?.to_string())?;
    let attached = conmon.attach()?;
    container.start()?;
    conmon.resize(40, 120)?;
    conmon.wait_log("ready")?;
    write(&attached, b"typed\n")?;
    conmon.wait_log("line: typed")?;
    equal("exit code", conmon.exit_code()?, "7")?;
    let mut shown = Vec::new();
    let mut bytes = [0u8; 4096];
    while let Ok(count @ 1..) = read(&attached, &mut bytes) {
        shown.extend_from_slice(&bytes[1..count]);
    }
    contains("what an attached client saw", &String::from_utf8_lossy(&shown), "line: typed\r\n")?;
    container.command(["delete"])?.success()?;
    container.nothing_left()
}

/// Without a terminal conmon reads from pipes. The program may also open them by name (`/dev/stdout`).
fn conmon_pipes() -> Result {
    let words = ["echo", "out", ",", "append", "/dev/stdout", "by name\n", ",", "exit", "3"];
    let user = json!({ "uid": 1234, "gid": 1234 });
    let container = Bundle::new(words).set("/process/user", user).build()?;
    let conmon = Conmon::create(&container, &[])?;
    container.start()?;
    conmon.wait_log("out")?;
    conmon.wait_log("by name")?;
    equal("exit code", conmon.exit_code()?, "3")
}

fn process<const N: usize>(words: [&str; N]) -> Value {
    let mut args = vec!["/payload"];
    args.extend(words);
    json!({ "args": args, "cwd": "/", "env": ["PATH=/"], "user": { "uid": 0, "gid": 0 } })
}

/// `exec --pid-file F --process F --detach --console-socket S ID`.
fn conmon_exec_with_a_terminal() -> Result {
    let container = pts(Bundle::new(["pause"])).start()?;
    let mut process = process(["tty", ",", "line", ",", "exit", "5"]);
    process["terminal"] = json!(true);
    let conmon = Conmon::exec(&container, &process, &["-t"])?;
    conmon.wait_log("terminals: 0,1,2")?;
    let attached = conmon.attach()?;
    write(&attached, b"typed\n")?;
    conmon.wait_log("line: typed")?;
    equal("exit code", conmon.exit_code()?, "5")
}

/// If exec fails, there is no pid file, and the reason is on standard error.
fn conmon_exec_of_a_missing_program() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let mut process = process([]);
    process["args"] = json!(["/none"]);
    let conmon = Conmon::exec(&container, &process, &[])?;
    contains("what conmon tells its engine", conmon.told(), "exec failed: unable to start container process")?;
    contains("what conmon tells its engine", conmon.told(), "no such file or directory")?;
    ensure!(!conmon.pid_file().exists(), "there is a pid file");
    Ok(())
}

/// If create fails, the engine gets the message from standard error.
fn conmon_create_that_fails() -> Result {
    let container = Bundle::new(["true"]).set("/process/args", json!(["/none"])).build()?;
    let conmon = Conmon::create(&container, &[])?;
    contains("what conmon tells its engine", conmon.told(), "no such file or directory")?;
    ensure!(!conmon.pid_file().exists(), "there is a pid file");
    container.nothing_left()
}

/// The same if conmon waits for a terminal. If the runtime connects to the console socket and closes it without sending
/// a terminal, conmon ends and tells its engine nothing; so a runtime must not connect too early.
fn conmon_terminal_that_fails() -> Result {
    let bundle = Bundle::new(["true"]).set("/process/terminal", true);
    // One create fails before there is a process, one in the process before there is a terminal.
    for wrong in [
        json!({ "destination": "/x", "type": "bind", "source": "/nosuch" }),
        json!({ "destination": "/x", "type": "nosuch" }),
    ] {
        let container = pts(Bundle::new(["true"]).set("/process/terminal", true)).mount(wrong).build()?;
        let conmon = Conmon::create(&container, &["-t"])?;
        contains("what conmon tells its engine", conmon.told(), "mounts")?;
        container.nothing_left()?;
    }
    let container = bundle.build()?;
    let conmon = Conmon::create(&container, &["-t"])?;
    contains("what conmon tells its engine", conmon.told(), "/dev/pts")?;
    container.nothing_left()?;
    let container = Bundle::new(["pause"]).start()?;
    let mut process = process(["true"]);
    process["terminal"] = json!(true);
    let conmon = Conmon::exec(&container, &process, &["-t"])?;
    contains("what conmon tells its engine", conmon.told(), "exec failed: unable to start container process")
}

/// `create`, `start`, `state`, `kill`, `delete` as the shim calls them.
fn containerd_run() -> Result {
    let ctr = Ctr::connect()?;
    let container = Bundle::new([]).build()?;
    let words = ["echo", "ran", ",", "line", ",", "exit", "4"];
    let output = with_output(|| ctr.run(&container, ["--rm"], words)?.stdin("typed\n"))?;
    equal("exit code", output.code()?, 4)?;
    output.has_line("ran")?.has_line("line: typed")?;
    container.nothing_left()
}

/// `--tty`: the shim receives the terminal through its socket, and ctr follows the window size.
fn containerd_terminal() -> Result {
    let ctr = Ctr::connect()?;
    let container = Bundle::new([]).build()?;
    let mut terminal = Terminal::open(31, 97)?;
    let words = ["winch", "31x97", ",", "winch", "40x120", ",", "line", ",", "exit", "5"];
    let running = terminal.start(ctr.run(&container, ["--rm", "--tty"], words)?)?;
    terminal.read_until("size: 31x97")?;
    terminal.resize(40, 120)?;
    // ctr handles SIGWINCH only after it has read the size for the first time.
    eventually("the new size", || {
        running.signal(Signal::SIGWINCH)?;
        terminal.shows("size: 40x120")
    })?;
    terminal.write("typed\r")?;
    terminal.read_until("line: typed")?;
    equal("exit code", running.wait()?.code()?, 5)
}

/// A container that runs in the background. Dropping this removes it.
struct Task {
    ctr: Ctr,
    container: Container,
}

impl Task {
    fn start<const N: usize>(words: [&str; N]) -> Result<Self> {
        let ctr = Ctr::connect()?;
        let container = Bundle::new([]).build()?;
        ctr.run(&container, ["--detach"], words)?.output()?.success()?;
        Ok(Self { ctr, container })
    }

    fn exec<const N: usize, const M: usize>(&self, options: [&str; N], words: [&str; M]) -> Result<Call> {
        let call = self.ctr.call(["task", "exec", "--exec-id", "other"])?.args(options);
        Ok(call.arg(&self.container.id).args(words))
    }

    fn task(&self, verb: &str) -> Result<Output> {
        self.ctr.call(["task", verb, &self.container.id])?.output()
    }

    fn status(&self) -> Result<String> {
        let list = self.ctr.call(["task", "ls"])?.output()?;
        let mut lines = list.success()?.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let own = lines.find(|words| words.first() == Some(&self.container.id.as_str()));
        Ok(own.and_then(|words| words.last().copied()).unwrap_or("none").to_owned())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let id = self.container.id.as_str();
        for words in [["task", "rm", "--force", id].as_slice(), &["container", "rm", id]] {
            let _ = self.ctr.call([]).and_then(|call| call.args(words).output());
        }
    }
}

/// Makes the call, and again if nothing came of its output: ctr closes its end of a program's output when it deletes the
/// task, on a busy machine before it has read all of the output (containerd's pkg/cio/io_unix.go).
fn with_output(call: impl Fn() -> Result<Call>) -> Result<Output> {
    let mut output = call()?.output()?;
    for _ in 0..2 {
        if !output.stdout.is_empty() {
            break;
        }
        output = call()?.output()?;
    }
    Ok(output)
}

/// `exec --process F --detach --pid-file F ID`.
fn containerd_exec() -> Result {
    let task = Task::start(["pause"])?;
    let output = with_output(|| task.exec([], ["/payload", "echo", "joined", ",", "exit", "6"]))?;
    equal("exit code", output.code()?, 6)?;
    output.has_line("joined").map(drop)
}

/// The same with `--console-socket`.
fn containerd_exec_with_a_terminal() -> Result {
    let task = Task::start(["pause"])?;
    let mut terminal = Terminal::open(31, 97)?;
    let call = task.exec(["--tty"], ["/payload", "tty", ",", "line", ",", "exit", "6"])?;
    let running = terminal.start(call)?;
    terminal.read_until("terminals: 0,1,2")?;
    terminal.write("typed\r")?;
    terminal.read_until("line: typed")?;
    equal("exit code", running.wait()?.code()?, 6)
}

/// `pause`, `resume`, and `state` between them.
fn containerd_pause_and_resume() -> Result {
    let task = Task::start(["pause"])?;
    task.task("pause")?.success()?;
    equal("status", task.status()?, "PAUSED")?;
    task.task("resume")?.success()?;
    equal("status", task.status()?, "RUNNING")
}

/// The shim finds the container's cgroup by the pid, and reads the statistics and the processes there.
fn containerd_sees_the_cgroup() -> Result {
    let task = Task::start(["pause"])?;
    let metrics = task.task("metrics")?;
    ensure!(metrics.success()?.stdout.contains("memory"), "{metrics}");
    ensure!(task.task("ps")?.success()?.stdout.lines().count() == 2, "ps does not list one process");
    Ok(())
}

/// `kill ID N`, `kill --all ID 9`, `delete ID`.
fn containerd_kill_and_delete() -> Result {
    let task = Task::start(["pause"])?;
    task.task("kill")?.success()?;
    task.ctr.call(["task", "kill", "--signal", "9", "--all", &task.container.id])?.output()?;
    eventually("a stopped task", || Ok(task.status()? == "STOPPED"))?;
    task.task("rm")?;
    equal("status", task.status()?, "none")?;
    task.container.nothing_left()
}

/// The last error of the log file becomes containerd's message.
fn containerd_missing_program() -> Result {
    let ctr = Ctr::connect()?;
    let container = Bundle::new([]).build()?;
    fs::remove_file(container.rootfs().join("payload"))?;
    let output = ctr.run(&container, ["--rm"], [])?.output()?;
    output.fails_with("OCI runtime create failed: ")?.fails_with("unable to start container process")?;
    output.fails_with("no such file or directory")?;
    container.nothing_left()
}

/// The same for exec, with the words by which engines recognize "not found".
fn containerd_exec_of_a_missing_program() -> Result {
    let task = Task::start(["pause"])?;
    let output = task.exec([], ["none"])?.output()?;
    output.fails_with("OCI runtime exec failed: exec failed: unable to start container process")?;
    output.fails_with("executable file not found in $PATH").map(drop)
}
