//! Descriptors and sockets beside the terminal: pidfds, the standard descriptors, readiness.

use crate::harness::*;
use anyhow::ensure;
use nix::fcntl::OFlag;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

tests![
    pidfd_of_create,
    pidfd_of_run,
    pidfd_of_exec,
    pidfd_socket_that_does_not_answer,
    sockets_with_long_paths,
    pidfd_receiver_of_the_annotation,
    foreground_copies,
    foreground_copies_everything,
    foreground_waits_for_the_last_writer,
    foreground_input_ends,
    foreground_reader_that_goes_away,
    foreground_reader_that_stands_still,
    foreground_input_that_does_not_block,
    foreground_output_that_does_not_block,
    foreground_input_from_a_silent_socket,
    foreground_exec_copies,
    foreground_null_device_is_the_containers,
    detached_passes_through,
    streams_belong_to_the_user,
    streams_belong_to_the_user_in_a_user_namespace,
    no_notify_socket_no_notice,
    notify_run,
    notify_start_waits_until_ready,
    notify_passes_nothing_else_on,
    notify_of_a_program_that_ends,
    notify_manager_that_is_not_there,
    notify_in_a_user_namespace,
    notify_is_not_for_exec,
];

/// The runtime sends one message, `standard`, with one descriptor: the pidfd of the container's first process.
fn pidfd_of_create() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let receiver = Receiver::bind(container.aside("pidfd"))?;
    container.launch(["create"]).arg("--pidfd-socket").arg(&receiver.path).output()?.success()?;
    let received = receiver.receive()?;
    equal("the message", received.text.as_str(), "standard")?;
    equal("descriptors", received.descriptors.len(), 1)?;
    equal("the process", pid_behind(&received.descriptors[0])?, container.pid()?)
}

/// The same for `run`.
fn pidfd_of_run() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let receiver = Receiver::bind(container.aside("pidfd"))?;
    container.launch(["run", "-d"]).arg("--pidfd-socket").arg(&receiver.path).output()?.success()?;
    equal("the process", pid_behind(&receiver.receive()?.descriptors[0])?, container.pid()?)
}

/// For a process of exec the message is `setns`.
fn pidfd_of_exec() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let receiver = Receiver::bind(container.aside("pidfd"))?;
    let call = container.call(["exec", "-d", "--pid-file"]).arg(container.aside("pid")).arg("--pidfd-socket");
    call.arg(&receiver.path).arg(&container.id).args(["/payload", "pause"]).output()?.success()?;
    let received = receiver.receive()?;
    equal("the message", received.text.as_str(), "setns")?;
    let pid = pid_behind(&received.descriptors[0])?;
    equal("the process", pid.to_string(), fs::read_to_string(container.aside("pid"))?)
}

/// The path may be longer than the address of a socket (unix(7): 107 bytes).
fn sockets_with_long_paths() -> Result {
    let bundle = Bundle::new(["pause"]).set("/process/terminal", true);
    let container = bundle.mount(json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts",
        "options": ["newinstance", "ptmxmode=0666"] }));
    let container = container.build()?;
    let directory = container.aside(&"d".repeat(120));
    fs::create_dir(&directory)?;
    // The listening side has the same limit, so it binds by a short name.
    let bind = |name: &str| -> Result<Receiver> {
        let place = File::open(&directory)?;
        let short = PathBuf::from(format!("/proc/self/fd/{}", place.as_raw_fd())).join(name);
        let mut receiver = Receiver::bind(short)?;
        receiver.path = directory.join(name);
        Ok(receiver)
    };
    let (console, pidfd) = (bind("console")?, bind("pidfd")?);
    let manager = Manager::bind(container.aside("manager"))?;
    fs::rename(&manager.path, directory.join("manager"))?;
    let call = container.launch(["create"]).console(&console).arg("--pidfd-socket").arg(&pidfd.path);
    call.env("NOTIFY_SOCKET", directory.join("manager")).output()?.success()?;
    console.terminal()?;
    equal("the process", pid_behind(&pidfd.receive()?.descriptors[0])?, container.pid()?)?;
    let start = container.call(["start", &container.id]).env("NOTIFY_SOCKET", directory.join("manager")).spawn()?;
    container.wait_status("running")?;
    container.stop()?;
    equal("standard error", start.wait()?.success()?.stderr.as_str(), "")
}

/// A missing socket is an error, and nothing is left.
fn pidfd_socket_that_does_not_answer() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let call = container.launch(["create"]).arg("--pidfd-socket").arg(container.aside("none"));
    call.output()?.fails_with("no such file")?;
    container.nothing_left()
}

/// crun's annotation `run.oci.pidfd_receiver` names such a socket.
fn pidfd_receiver_of_the_annotation() -> Result {
    if runtime::is("runc") {
        return skip("an extension of crun, which runc lacks");
    }
    let container = Bundle::new(["pause"]).build()?;
    let receiver = Receiver::bind(container.aside("pidfd"))?;
    container.edit_config(|config| {
        config["annotations"] = json!({ "run.oci.pidfd_receiver": receiver.path.display().to_string() });
    })?;
    container.create()?.success()?;
    equal("the process", pid_behind(&receiver.receive()?.descriptors[0])?, container.pid()?)?;
    // An error names the annotation.
    let bundle = Bundle::new(["pause"]).set("/annotations", json!({ "run.oci.pidfd_receiver": "/nosuch" }));
    let output = bundle.refused("annotations.run.oci.pidfd_receiver")?;
    anyhow::ensure!(!output.stderr.contains("--pidfd-socket"), "{output}");
    Ok(())
}

const LINKS: [&str; 8] =
    ["readlink", "/proc/self/fd/0", ",", "readlink", "/proc/self/fd/1", ",", "readlink", "/proc/self/fd/2"];

/// In the foreground the program's standard descriptors are pipes: the caller's files and terminal do not enter the
/// container.
fn foreground_copies() -> Result {
    let container = Bundle::new(LINKS).build()?;
    let output = container.launch(["run"]).stdin("input")?.output()?;
    let lines: Vec<&str> = output.success()?.stdout.lines().collect();
    ensure!(lines.len() == 3 && lines.iter().all(|line| line.starts_with("pipe:[")), "{output}");
    Ok(())
}

/// When the runtime exits, all output of the program has arrived.
fn foreground_copies_everything() -> Result {
    let output = Bundle::new(["flood", "2048"]).run()?;
    equal("bytes", output.success()?.stdout.len(), 2 << 20)
}

/// exec waits for the last writer: here a process that the program has left behind.
fn foreground_waits_for_the_last_writer() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.exec([], ["background", "300", "late"])?;
    output.success()?.has_line("late").map(drop)
}

/// The end of the caller's input is passed on to the program.
fn foreground_input_ends() -> Result {
    let container = Bundle::new(["stdin"]).build()?;
    container.launch(["run"]).stdin("typed")?.output()?.success()?.has_line("stdin: typed").map(drop)
}

/// If the reader of the output closes its end, the program gets SIGPIPE or EPIPE, and the runtime does not hang.
fn foreground_reader_that_goes_away() -> Result {
    let container = Bundle::new(["flood", "100000"]).build()?;
    let (reader, writer) = nix::unistd::pipe()?;
    drop(reader);
    let call = container.call(["run", "--bundle"]).arg(container.bundle()).arg(&container.id);
    call.inherit(File::from(writer), 1)?.output()?;
    container.nothing_left()
}

/// If the reader does not read, as a terminal after Ctrl-S, the program blocks in write(2) and can still be killed.
fn foreground_reader_that_stands_still() -> Result {
    let container = Bundle::new(["flood", "100000"]).build()?;
    let terminal = Terminal::open(25, 80)?;
    let call = container.call(["run", "--bundle"]).arg(container.bundle()).arg(&container.id);
    let _running = terminal.start(call)?;
    let pid = container.wait_for_a_full_pipe()?;
    container.kill("KILL")?.success()?;
    let dead = |stat: String| stat.contains(") Z ");
    eventually("its death", || Ok(fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, dead)))
}

/// Another process that shares the caller's input may have made it non-blocking: EAGAIN does not end the input.
fn foreground_input_that_does_not_block() -> Result {
    let container = Bundle::new(["echo", "up", ",", "stdin"]).build()?;
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    let running = container.launch(["run"]).stdin_from(reader).spawn()?;
    container.wait_output("up")?;
    File::from(writer).write_all(b"typed late")?;
    running.wait()?.success()?.has_line("stdin: typed late").map(drop)
}

/// Standard output may be non-blocking with a slow reader: all output arrives.
fn foreground_output_that_does_not_block() -> Result {
    let container = Bundle::new(["flood", "512"]).build()?;
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let call = container.call(["run", "--bundle"]).arg(container.bundle()).arg(&container.id);
    let running = call.inherit(File::from(writer), 1)?.spawn()?;
    container.wait_for_a_full_pipe()?;
    let mut bytes = Vec::new();
    File::from(reader).read_to_end(&mut bytes)?;
    running.wait()?.success()?;
    equal("bytes", bytes.len(), 512 << 10)
}

/// If no input comes, neither a program that ends without reading nor the runtime waits for it.
fn foreground_input_from_a_silent_socket() -> Result {
    let container = Bundle::new(["sleep", "200", ",", "exit", "7"]).build()?;
    let (silent, theirs) = UnixStream::pair()?;
    let output = container.launch(["run"]).stdin_from(OwnedFd::from(theirs)).output()?;
    drop(silent);
    equal("exit code", output.code()?, 7)
}

/// `exec` in the foreground uses pipes, too.
fn foreground_exec_copies() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.exec_call([], LINKS).stdin("input")?.output()?;
    ensure!(output.success()?.stdout.lines().all(|line| line.starts_with("pipe:[")), "{output}");
    Ok(())
}

/// The host's null device does not enter the container either: a change of its mode would change the host's.
fn foreground_null_device_is_the_containers() -> Result {
    let container = Bundle::new(["chmod", "/proc/self/fd/0", ",", "stdin"]).build()?;
    let before = fs::metadata("/dev/null")?;
    container.run()?.success()?.has_line("stdin: ")?;
    equal("the host's null device", fs::metadata("/dev/null")?.permissions(), before.permissions())
}

/// With `--detach` the program gets the caller's descriptors themselves.
fn detached_passes_through() -> Result {
    let container = Bundle::new(LINKS).option("-d").build()?;
    container.launch(["run"]).output()?.success()?;
    container.wait_status("stopped")?;
    let (out, err) = (container.aside("out").display().to_string(), container.aside("err").display().to_string());
    let output = container.output()?;
    equal("descriptors", output.lines().skip(1).collect::<Vec<_>>(), [out.as_str(), err.as_str()])
}

/// A user other than root may open the standard streams by name, as servers do for their logs.
fn streams_belong_to_the_user() -> Result {
    let user = json!({ "uid": 1234, "gid": 1234 });
    let bundle = || Bundle::new(["append", "/dev/stdout", "by name\n"]).set("/process/user", user.clone());
    bundle().run()?.success()?.has_line("by name")?;
    let container = bundle().option("-d").build()?;
    container.launch(["run"]).output()?.success()?;
    container.wait_output("by name")
}

/// In a user namespace the pipes belong to a user that is mapped there.
fn streams_belong_to_the_user_in_a_user_namespace() -> Result {
    for uid in [0, 1234] {
        let bundle = Bundle::new(["append", "/dev/stdout", "by name\n"]).user_namespace(100_000, 65_536);
        bundle.set("/process/user", json!({ "uid": uid, "gid": 0 })).run()?.success()?.has_line("by name")?;
    }
    Ok(())
}

/// A service manager that records the messages that it gets.
struct Manager {
    path: PathBuf,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Manager {
    fn bind(path: PathBuf) -> Result<Self> {
        let socket = UnixDatagram::bind(&path)?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut bytes = [0u8; 4096];
            // The kernel closes descriptors that come with the message, which answers BARRIER=1.
            while let Ok(count) = socket.recv(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]).trim_end().to_owned();
                list.lock().map(|mut list| list.push(text)).unwrap_or_default();
            }
        });
        Ok(Self { path, heard })
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().map(|list| list.clone()).unwrap_or_default()
    }
}

/// Without NOTIFY_SOCKET the container has neither the variable nor the socket.
fn no_notify_socket_no_notice() -> Result {
    let output = Bundle::new(["env", ",", "stat", "/run/notify"]).run()?;
    ensure!(!output.success()?.stdout.contains("NOTIFY_SOCKET"), "{output}");
    output.has_line("stat /run/notify: ENOENT").map(drop)
}

/// The manager gets READY=1, then the process to watch, which is the runtime if it stays, then a barrier.
fn notify_run() -> Result {
    let container = Bundle::new(["env", ",", "notify", "READY=1", ",", "exit", "3"]).build()?;
    let manager = Manager::bind(container.aside("manager"))?;
    let output = container.launch(["run"]).env("NOTIFY_SOCKET", &manager.path).output()?;
    equal("exit code", output.code()?, 3)?;
    output.has_line("NOTIFY_SOCKET=/run/notify/notify.sock")?;
    eventually("a barrier", || Ok(manager.heard().len() >= 3))?;
    let heard = manager.heard();
    equal("first", heard[0].as_str(), "READY=1")?;
    ensure!(heard[1].starts_with("MAINPID="), "{heard:?}");
    equal("last", heard[2].as_str(), "BARRIER=1")?;
    container.nothing_left()
}

/// `start` returns when the program is ready, and names the container's process as the main process.
fn notify_start_waits_until_ready() -> Result {
    let words = ["sleep", "300", ",", "notify", "READY=1", ",", "pause"];
    let container = Bundle::new(words).build()?;
    let manager = Manager::bind(container.aside("manager"))?;
    container.launch(["create"]).env("NOTIFY_SOCKET", &manager.path).output()?.success()?;
    let pid = container.pid()?;
    let output = container.call(["start"]).arg(&container.id).env("NOTIFY_SOCKET", &manager.path).output()?;
    output.success()?;
    let heard = manager.heard();
    ensure!(heard.len() >= 2, "start returned before it had sent all messages: {heard:?}");
    // The manager answers `start` when it has read the last message, and records the message after that.
    eventually("a barrier", || Ok(manager.heard().len() == 3))?;
    let wanted = ["READY=1".to_owned(), format!("MAINPID={pid}"), "BARRIER=1".into()];
    equal("heard", manager.heard(), wanted)
}

/// Other messages of the container are not passed on: it may neither name processes nor store descriptors.
fn notify_passes_nothing_else_on() -> Result {
    let container = Bundle::new(["notify", "MAINPID=1\nSTATUS=x", ",", "notify", "READY=1\nFDSTORE=1"]).build()?;
    let manager = Manager::bind(container.aside("manager"))?;
    container.launch(["run"]).env("NOTIFY_SOCKET", &manager.path).output()?.success()?;
    eventually("a barrier", || Ok(manager.heard().iter().any(|text| text == "BARRIER=1")))?;
    let heard = manager.heard();
    equal("messages", heard.len(), 3)?;
    ensure!(heard[0] == "READY=1" && heard[1] != "MAINPID=1", "{heard:?}");
    Ok(())
}

/// `start` does not wait for a program that ends without READY=1.
fn notify_of_a_program_that_ends() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let manager = Manager::bind(container.aside("manager"))?;
    container.launch(["create"]).env("NOTIFY_SOCKET", &manager.path).output()?.success()?;
    container.call(["start"]).arg(&container.id).env("NOTIFY_SOCKET", &manager.path).output()?.success()?;
    equal("heard", manager.heard().len(), 0)
}

/// A NOTIFY_SOCKET that leads nowhere, because it is left over or from another mount namespace, is a warning only.
fn notify_manager_that_is_not_there() -> Result {
    let container = Bundle::new(["echo", "ran"]).build()?;
    for nowhere in [container.aside("none"), PathBuf::from("@nosuch-conformance"), container.aside("")] {
        let output = container.launch(["run"]).env("NOTIFY_SOCKET", &nowhere).output()?;
        output.success()?.has_line("ran")?;
        if runtime::is("tare") {
            contains("the warning", &output.stderr, "warning: NOTIFY_SOCKET: ")?;
        }
        container.launch(["create"]).env("NOTIFY_SOCKET", &nowhere).output()?.success()?;
        container.call(["start", &container.id]).env("NOTIFY_SOCKET", &nowhere).output()?.success()?;
        container.wait_status("stopped")?;
        container.command(["delete"])?.success()?;
        container.nothing_left()?;
    }
    Ok(())
}

/// A container in a user namespace may write to the socket, too.
fn notify_in_a_user_namespace() -> Result {
    let container = Bundle::new(["notify", "READY=1"]).user_namespace(100_000, 65_536).build()?;
    let manager = Manager::bind(container.aside("manager"))?;
    let output = container.launch(["run"]).env("NOTIFY_SOCKET", &manager.path).output()?;
    output.success()?.has_line("notify READY=1: ok")?;
    eventually("a barrier", || Ok(manager.heard().len() == 3))
}

/// exec does not use NOTIFY_SOCKET.
fn notify_is_not_for_exec() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let manager = Manager::bind(container.aside("manager"))?;
    let output = container.exec_call([], ["env"]).env("NOTIFY_SOCKET", &manager.path).output()?;
    ensure!(!output.success()?.stdout.contains("NOTIFY"), "{output}");
    Ok(())
}
