//! Terminals: `process.terminal`, `--console-socket`, `exec --tty`, and the caller's own terminal.

use crate::harness::*;
use anyhow::ensure;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;
use nix::sys::termios::{LocalFlags, OutputFlags};
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;

tests![
    socket_receives_one_terminal,
    terminal_is_the_standard_descriptors,
    console_is_the_terminal,
    console_without_a_dev_mount,
    console_on_a_read_only_dev,
    console_is_no_followed_link,
    console_size_is_applied,
    console_size_without_terminal_is_ignored,
    owner_is_the_user,
    user_namespace,
    pts_that_is_no_devpts_is_refused,
    pts_that_is_missing_is_refused,
    ptmx_in_its_own_place,
    program_that_ends_hangs_up,
    detached_needs_a_socket,
    socket_needs_a_terminal,
    socket_needs_detaching,
    socket_that_does_not_answer,
    run_detached,
    run_at_a_terminal,
    run_follows_the_window,
    run_sets_the_terminal_back,
    run_with_stdin_from_a_file,
    run_with_stdout_to_a_file_adds_no_carriage_returns,
    run_without_any_terminal,
    run_whose_reader_goes_away,
    run_whose_reader_does_not_block,
    run_sets_the_terminal_back_before_the_last_word,
    exec_at_a_terminal,
    exec_detached_with_a_socket,
    exec_by_process_file,
    exec_option_decides_alone,
    exec_leaves_the_console_alone,
    exec_in_a_user_namespace,
    exec_gives_the_terminal_to_the_user,
];

const PTS: [&str; 6] = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];

fn pts(options: &[&str]) -> Value {
    json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": options })
}

/// A bundle with a terminal and a new devpts.
fn bundle<const N: usize>(words: [&str; N]) -> Bundle {
    Bundle::new(words).set("/process/terminal", true).mount(pts(&PTS))
}

/// Creates the container, with a socket for its terminal.
fn created(bundle: Bundle) -> Result<(Container, Terminal)> {
    let container = bundle.build()?;
    let receiver = Receiver::bind(container.aside("console"))?;
    container.launch(["create"]).console(&receiver).output()?.success()?;
    Ok((container, receiver.terminal()?))
}

/// Creates and starts the container.
fn started(bundle: Bundle) -> Result<(Container, Terminal)> {
    let (container, terminal) = created(bundle)?;
    container.start()?;
    Ok((container, terminal))
}

/// The output at the container's terminal up to its end, without carriage returns.
fn shown(bundle: Bundle) -> Result<String> {
    let (_container, mut terminal) = started(bundle)?;
    Ok(terminal.read_to_end()?.replace('\r', ""))
}

fn has_line(text: &str, wanted: &str) -> Result {
    ensure!(text.lines().any(|line| line == wanted), "no line {wanted:?} in {text:?}");
    Ok(())
}

/// The runtime sends one message with a name and exactly one descriptor before `create` returns: engines accept no
/// other.
fn socket_receives_one_terminal() -> Result {
    let (container, mut terminal) = created(bundle(["echo", "seen"]))?;
    equal("status", container.status()?, "created")?;
    container.start()?;
    contains("the terminal", &terminal.read_to_end()?, "seen\r\n")
}

/// "terminal: specifies whether a terminal is attached to the process": stdin, stdout, stderr and /dev/tty.
fn terminal_is_the_standard_descriptors() -> Result {
    let text = shown(bundle(["tty"]))?;
    has_line(&text, "terminals: 0,1,2")?;
    has_line(&text, "names: /dev/pts/0,/dev/pts/0,/dev/pts/0")?;
    has_line(&text, "controlling: yes")
}

/// "/dev/console is set up if terminal is enabled in the config by bind mounting the pseudoterminal pty".
fn console_is_the_terminal() -> Result {
    let text = shown(bundle(["stat", "/dev/console", ",", "write", "/dev/console", "by name", ",", "mountinfo"]))?;
    contains("the console", &text, "stat /dev/console: char")?;
    contains("the console", &text, "rdev=136:0")?;
    contains("what was written to the console", &text, "by name")?;
    contains("its mount", &text, " /dev/console ")
}

/// The same if the image has the file /dev/console.
fn console_without_a_dev_mount() -> Result {
    let bundle = bundle(["stat", "/dev/console"]).remove("/mounts/1");
    let bundle = bundle.file("dev/console", "a file").dir("dev/pts").set(
        "/mounts",
        json!([
            { "destination": "/proc", "type": "proc", "source": "proc" }, pts(&PTS)
        ]),
    );
    contains("the console", &shown(bundle)?, "char")
}

/// Devices and the console are made before /dev becomes read-only.
fn console_on_a_read_only_dev() -> Result {
    let options = json!(["nosuid", "mode=755", "ro"]);
    let text = shown(bundle(["stat", "/dev/console", ",", "mkdir", "/dev/x"]).set("/mounts/1/options", options))?;
    contains("the console", &text, "char")?;
    has_line(&text, "mkdir /dev/x: EROFS")
}

/// A symbolic link at /dev/console is not followed (CVE-2025-52565).
fn console_is_no_followed_link() -> Result {
    let container = bundle(["true"])
        .symlink("dev/console", "../target")
        .file("target", "untouched")
        .dir("dev/pts")
        .set("/mounts", json!([{ "destination": "/proc", "type": "proc", "source": "proc" }, pts(&PTS)]))
        .build()?;
    let receiver = Receiver::bind(container.aside("console"))?;
    container.launch(["create"]).console(&receiver).output()?.failure()?;
    equal("the target", container.read("target")?, "untouched")?;
    container.nothing_left()
}

/// "consoleSize: specifies the console size in characters of the terminal."
fn console_size_is_applied() -> Result {
    let size = json!({ "height": 33, "width": 101 });
    has_line(&shown(bundle(["tty"]).set("/process/consoleSize", size))?, "size: 33x101")
}

/// "Runtimes MUST ignore consoleSize if terminal is false or unset."
fn console_size_without_terminal_is_ignored() -> Result {
    let size = json!({ "height": 33, "width": 101 });
    Bundle::new(["echo", "ran"]).set("/process/consoleSize", size).run()?.success()?.has_line("ran").map(drop)
}

/// The terminal belongs to the process's user. Its group stays the one of the devpts mount.
fn owner_is_the_user() -> Result {
    let user = json!({ "uid": 1234, "gid": 99 });
    let text = shown(bundle(["stat", "/dev/pts/0", ",", "openw", "/dev/stdout"]).set("/process/user", user))?;
    contains("the terminal", &text, "mode=0620 uid=1234 gid=5")?;
    has_line(&text, "openw /dev/stdout: ok")
}

/// A container in a user namespace has a terminal, too.
fn user_namespace() -> Result {
    let text = shown(bundle(["tty", ",", "stat", "/dev/console"]).user_namespace(100_000, 65_536))?;
    has_line(&text, "terminals: 0,1,2")?;
    contains("the console", &text, "uid=0 gid=5 rdev=136:0")
}

/// /dev/pts must be a devpts: in another file system the names would be the container's choice (CVE-2025-52565).
fn pts_that_is_no_devpts_is_refused() -> Result {
    let bundle = Bundle::new(["true"]).set("/process/terminal", true);
    let container = bundle.mount(json!({ "destination": "/dev/pts", "type": "tmpfs", "source": "tmpfs" })).build()?;
    let receiver = Receiver::bind(container.aside("console"))?;
    names_field(&container.launch(["create"]).console(&receiver).output()?, "process.terminal")?;
    container.nothing_left()
}

/// Without a devpts at /dev/pts a terminal is refused.
fn pts_that_is_missing_is_refused() -> Result {
    let container = Bundle::new(["true"]).set("/process/terminal", true).build()?;
    let receiver = Receiver::bind(container.aside("console"))?;
    names_field(&container.launch(["create"]).console(&receiver).output()?, "process.terminal")?;
    container.nothing_left()
}

/// If the mode of the devpts's ptmx forbids all access, root opens it all the same.
fn ptmx_in_its_own_place() -> Result {
    has_line(
        &shown(bundle(["tty"]).set("/mounts/2", pts(&["newinstance", "ptmxmode=0000", "mode=0620", "gid=5"])))?,
        "terminals: 0,1,2",
    )
}

/// When the program ends, the terminal hangs up, and its reader notices.
fn program_that_ends_hangs_up() -> Result {
    let (container, mut terminal) = started(bundle(["line"]))?;
    terminal.write("typed\n")?;
    contains("the echo and the line", &terminal.read_to_end()?, "typed\r\nline: typed\r\n")?;
    container.wait_status("stopped")
}

/// `create` with a terminal and without a socket fails: "cannot allocate tty if runc will detach without setting
/// console socket".
fn detached_needs_a_socket() -> Result {
    for words in [&["create"][..], &["run", "-d"]] {
        let container = bundle(["true"]).build()?;
        let output = container.launch([words[0]]).args(&words[1..]).output()?;
        output.fails_with("cannot allocate tty if")?.fails_with("without setting console socket")?;
        container.nothing_left()?;
    }
    Ok(())
}

/// A socket without a terminal is refused: "cannot use console socket if runc will not detach or allocate tty".
fn socket_needs_a_terminal() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let receiver = Receiver::bind(container.aside("console"))?;
    container.launch(["create"]).console(&receiver).output()?.fails_with("cannot use console socket if")?;
    container.nothing_left()
}

/// The same for a runtime in the foreground.
fn socket_needs_detaching() -> Result {
    let container = bundle(["true"]).build()?;
    let receiver = Receiver::bind(container.aside("console"))?;
    container.launch(["run"]).console(&receiver).output()?.fails_with("cannot use console socket if")?;
    container.nothing_left()
}

/// A socket that does not exist is an error of create, and nothing is left.
fn socket_that_does_not_answer() -> Result {
    let container = bundle(["true"]).build()?;
    let output = container.call(["create", "--console-socket"]).arg(container.aside("none"));
    output.arg("--bundle").arg(container.bundle()).arg(&container.id).output()?.fails_with("no such file")?;
    container.nothing_left()
}

/// `run --detach` sends the terminal to the socket and returns.
fn run_detached() -> Result {
    let container = bundle(["echo", "up", ",", "pause"]).build()?;
    let receiver = Receiver::bind(container.aside("console"))?;
    container.launch(["run", "-d"]).console(&receiver).output()?.success()?;
    receiver.terminal()?.read_until("up\r\n")?;
    equal("status", container.status()?, "running")
}

/// In the foreground the caller's terminal shows the output of the container's terminal, which has the same size. Keys
/// are passed on raw.
fn run_at_a_terminal() -> Result {
    let container = bundle(["tty", ",", "echo", "ready", ",", "line", ",", "exit", "5"]).build()?;
    let mut terminal = Terminal::open(31, 97)?;
    let running = terminal.start(container.call(["run"]).arg("--bundle").arg(container.bundle()).arg(&container.id))?;
    let text = terminal.read_until("ready\r\n")?;
    contains("the terminal", &text, "names: /dev/pts/0,/dev/pts/0,/dev/pts/0\r\n")?;
    terminal.write("typed\r")?;
    terminal.read_until("line: typed\r\n")?;
    equal("exit code", running.wait()?.code()?, 5)?;
    container.nothing_left()
}

/// The container's terminal has the caller's size at the start, and follows it at SIGWINCH.
fn run_follows_the_window() -> Result {
    let container = bundle(["winch", "31x97", ",", "winch", "40x120"]).build()?;
    let mut terminal = Terminal::open(31, 97)?;
    let running = terminal.start(container.call(["run"]).arg("--bundle").arg(container.bundle()).arg(&container.id))?;
    terminal.read_until("size: 31x97")?;
    terminal.resize(40, 120)?;
    terminal.read_until("size: 40x120")?;
    running.wait()?.success().map(drop)
}

/// At the end the caller's terminal has its old settings. During the run it is raw, except for output processing.
fn run_sets_the_terminal_back() -> Result {
    let container = bundle(["echo", "ready", ",", "line", ",", "line"]).build()?;
    let mut terminal = Terminal::open(25, 80)?;
    let before = terminal.settings()?;
    let running = terminal.start(container.call(["run"]).arg("--bundle").arg(container.bundle()).arg(&container.id))?;
    terminal.read_until("ready\r\n")?;
    terminal.write("a\r")?;
    terminal.read_until("line: a\r\n")?;
    let raw = terminal.settings()?;
    ensure!(!raw.local_flags.intersects(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG), "{raw:?}");
    ensure!(raw.output_flags.contains(OutputFlags::OPOST), "{raw:?}");
    terminal.write("b\r")?;
    running.wait()?.success()?;
    let after = terminal.settings()?;
    equal("local flags", after.local_flags, before.local_flags)?;
    equal("input flags", after.input_flags, before.input_flags)?;
    equal("output flags", after.output_flags, before.output_flags)
}

/// The caller's standard input may be a file although the container has a terminal.
fn run_with_stdin_from_a_file() -> Result {
    let container = bundle(["line"]).build()?;
    fs::write(container.aside("in"), "from a file\n")?;
    let mut terminal = Terminal::open(25, 80)?;
    let call = container.launch(["run"]).stdin_from(File::open(container.aside("in"))?);
    let (_, output) = at_terminal(&mut terminal, call)?;
    output.success()?;
    container.wait_output("line: from a file")
}

/// If standard output is a file, it gets no carriage returns: they are for terminals.
fn run_with_stdout_to_a_file_adds_no_carriage_returns() -> Result {
    let container = bundle(["echo", "plain"]).build()?;
    let mut terminal = Terminal::open(25, 80)?;
    let (_, output) = at_terminal(&mut terminal, container.launch(["run"]))?;
    equal("output", output.success()?.stdout.as_str(), "plain\n")
}

/// If the caller has no terminal at all, the container gets one all the same.
fn run_without_any_terminal() -> Result {
    if runtime::is("runc") {
        return skip("runc needs a terminal of the caller");
    }
    let output = bundle(["tty"]).run()?;
    output.success()?.says("terminals", "0,1,2").map(drop)
}

/// Calls `run` at a terminal with standard output in a pipe.
fn into_a_pipe(container: &Container, writer: OwnedFd) -> Result<(Terminal, Running)> {
    let terminal = Terminal::open(25, 80)?;
    let call = container.call(["run", "--bundle"]).arg(container.bundle()).arg(&container.id);
    let running = terminal.start(call.inherit(File::from(writer), 1)?)?;
    Ok((terminal, running))
}

/// If the reader closes its end, the runtime does not hang: it hangs up the terminal, and the program ends or writes to
/// nothing.
fn run_whose_reader_goes_away() -> Result {
    let container = bundle(["flood", "1000", ",", "exit", "5"]).build()?;
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    drop(reader);
    let (_terminal, running) = into_a_pipe(&container, writer)?;
    ensure!(running.wait()?.status.code().is_some(), "the runtime was killed");
    container.nothing_left()
}

/// A slow reader gets all output, even if standard output is non-blocking.
fn run_whose_reader_does_not_block() -> Result {
    let container = bundle(["flood", "512"]).build()?;
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let (_terminal, running) = into_a_pipe(&container, writer)?;
    container.wait_for_a_full_pipe()?;
    let mut bytes = Vec::new();
    File::from(reader).read_to_end(&mut bytes)?;
    running.wait()?.success()?;
    equal("bytes", bytes.len(), 512 << 10)
}

/// Once the program has ended, the caller's terminal is restored, even if output is still to be read: Ctrl-C works
/// again.
fn run_sets_the_terminal_back_before_the_last_word() -> Result {
    if runtime::is("runc") {
        return skip("runc keeps the terminal raw until the last byte is read");
    }
    let container = bundle(["flood", "100000"]).build()?;
    let (_reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    let (terminal, running) = into_a_pipe(&container, writer)?;
    eventually("a raw terminal", || Ok(!terminal.settings()?.local_flags.contains(LocalFlags::ICANON)))?;
    container.wait_for_a_full_pipe()?;
    container.kill("KILL")?.success()?;
    eventually("the terminal as it was", || Ok(terminal.settings()?.local_flags.contains(LocalFlags::ICANON)))?;
    running.signal(Signal::SIGTERM)?;
    ensure!(!running.wait()?.status.success(), "the runtime succeeded with output left");
    container.nothing_left()
}

/// `exec --tty` has a terminal of its own with the caller's size, and exits with the program's status.
fn exec_at_a_terminal() -> Result {
    let container = Bundle::new(["pause"]).mount(pts(&PTS)).start()?;
    let mut terminal = Terminal::open(31, 97)?;
    let call = container.exec_call(["--tty"], ["tty", ",", "echo", "ready", ",", "line", ",", "exit", "6"]);
    let running = terminal.start(call)?;
    contains("the terminal", &terminal.read_until("ready\r\n")?, "terminals: 0,1,2\r\n")?;
    terminal.write("typed\r")?;
    terminal.read_until("line: typed\r\n")?;
    equal("exit code", running.wait()?.code()?, 6)
}

/// `exec --detach --tty` needs the socket, and sends the terminal to it.
fn exec_detached_with_a_socket() -> Result {
    let container = Bundle::new(["pause"]).mount(pts(&PTS)).start()?;
    let refused = container.exec(["-d", "-t"], ["true"])?;
    refused.fails_with("cannot allocate tty if")?;
    let receiver = Receiver::bind(container.aside("console"))?;
    let call = container.call(["exec", "-d", "-t"]).console(&receiver).arg(&container.id);
    call.args(["/payload", "tty"]).output()?.success()?;
    contains("the terminal", &receiver.terminal()?.read_to_end()?, "controlling: yes")
}

/// containerd and conmon use `terminal` and `consoleSize` of the process file.
fn exec_by_process_file() -> Result {
    let container = Bundle::new(["pause"]).mount(pts(&PTS)).start()?;
    let process = json!({
        "terminal": true, "consoleSize": { "height": 20, "width": 60 }, "user": { "uid": 0, "gid": 0 },
        "args": ["/payload", "tty"], "cwd": "/", "env": ["PATH=/"]
    });
    fs::write(container.aside("process"), process.to_string())?;
    let receiver = Receiver::bind(container.aside("console"))?;
    let call = container.call(["exec", "--process"]).arg(container.aside("process")).args(["--detach"]);
    call.console(&receiver).arg(&container.id).output()?.success()?;
    contains("the terminal", &receiver.terminal()?.read_to_end()?, "size: 20x60")
}

/// exec ignores the config's `terminal`: only `--tty` counts.
fn exec_option_decides_alone() -> Result {
    let (container, _terminal) = started(bundle(["pause"]))?;
    let output = container.exec([], ["tty"])?;
    output.success()?.says("terminals", "").map(drop)
}

/// exec does not change /dev/console, which is the terminal of the first process.
fn exec_leaves_the_console_alone() -> Result {
    let (container, _terminal) = started(bundle(["pause"]))?;
    let receiver = Receiver::bind(container.aside("console2"))?;
    let call = container.call(["exec", "-d", "-t"]).console(&receiver).arg(&container.id);
    call.args(["/payload", "tty", ",", "stat", "/dev/console"]).output()?.success()?;
    let text = receiver.terminal()?.read_to_end()?;
    contains("the second terminal", &text, "names: /dev/pts/1")?;
    contains("the console", &text, "rdev=136:0")
}

/// exec in a user namespace has a terminal, too.
fn exec_in_a_user_namespace() -> Result {
    let container = Bundle::new(["pause"]).mount(pts(&PTS)).user_namespace(100_000, 65_536).start()?;
    let receiver = Receiver::bind(container.aside("console"))?;
    let call = container.call(["exec", "-d", "-t"]).console(&receiver).arg(&container.id);
    call.args(["/payload", "tty", ",", "stat", "/dev/pts/0"]).output()?.success()?;
    let text = receiver.terminal()?.read_to_end()?;
    contains("the terminal", &text, "controlling: yes")?;
    contains("its owner", &text, "uid=0 gid=5")
}

/// The terminal belongs to the user of `--user`.
fn exec_gives_the_terminal_to_the_user() -> Result {
    let container = Bundle::new(["pause"]).mount(pts(&PTS)).start()?;
    let receiver = Receiver::bind(container.aside("console"))?;
    let call = container.call(["exec", "-d", "-t", "-u", "1234:99"]).console(&receiver).arg(&container.id);
    call.args(["/payload", "stat", "/dev/pts/0"]).output()?.success()?;
    contains("the terminal", &receiver.terminal()?.read_to_end()?, "uid=1234 gid=5")
}
