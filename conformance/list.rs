//! `list`: all containers of a state root.

use crate::harness::*;
use anyhow::{Context, ensure};
use nix::sys::resource::Resource;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::chown;

tests![
    json_has_the_state,
    json_of_nothing,
    table,
    quiet,
    is_sorted,
    of_stopped,
    unknown_format,
    missing_root,
    skips_what_it_cannot_read,
    names_the_owner,
    json_is_one_line,
    more_containers_than_descriptors,
    annotation_named_config,
    broken_entries_are_told_of_on_stderr,
    agrees_with_state_about_each_status,
    zombie_is_stopped,
    pid_of_another_process_is_stopped,
    without_the_cgroup,
    record_of_an_older_version,
    record_of_an_unfinished_create,
    state_directory_in_memory,
    update_of_a_created_one_keeps_its_gate,
    damaged_records,
    names_each_owner,
    many_containers,
];

fn list(container: &Container) -> Result<Vec<Value>> {
    let output = container.call(["list", "--format", "json"]).output()?;
    Ok(serde_json::from_str(&output.success()?.stdout)?)
}

/// `list -f json` prints a list of states.
fn json_has_the_state() -> Result {
    let container = Bundle::new(["pause"]).set("/annotations", json!({ "a": "b" })).start()?;
    let all = list(&container)?;
    equal("containers", all.len(), 1)?;
    let state = container.state()?;
    for key in ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations"] {
        equal(key, &all[0][key], &state[key])?;
    }
    Ok(())
}

/// Without containers the JSON is `null`, as Go encodes an empty list; callers decode that.
fn json_of_nothing() -> Result {
    let container = Bundle::new(["true"]).build()?;
    equal("list", container.call(["list", "-f", "json"]).output()?.success()?.stdout.trim(), "null")
}

/// The table has runc's columns.
fn table() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.call(["list"]).output()?;
    let rows: Vec<Vec<&str>> = output.success()?.stdout.lines().map(|l| l.split_whitespace().collect()).collect();
    equal("header", &rows[0][..], &["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"][..])?;
    equal("rows", rows.len(), 2)?;
    let pid = container.pid()?.to_string();
    let bundle = container.bundle().canonicalize()?.display().to_string();
    equal("row", &rows[1][..4], &[container.id.as_str(), &pid, "running", &bundle][..])?;
    equal("owner", rows[1].last().copied(), Some("root"))
}

/// `-q` prints ids only, one on a line.
fn quiet() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    equal("list", &*container.call(["list", "-q"]).output()?.success()?.stdout, format!("{}\n", container.id))
}

/// The list is sorted by id, whatever the order of creation.
fn is_sorted() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    for id in ["zz", "aa", "mm"] {
        let name = format!("{}-{id}", container.id);
        let call = container.call(["create", "--bundle"]).arg(container.bundle()).arg(&name);
        // The three containers share a bundle, so each gets a cgroup path of its own.
        container.edit_config(|config| {
            config["linux"]["cgroupsPath"] = json!(format!("{}/{name}", machine::cgroup_parent()))
        })?;
        call.output_to(container.aside("out"), container.aside("err")).output()?.success()?;
    }
    let output = container.call(["list", "-q"]).output()?;
    let ids: Vec<String> = ["aa", "mm", "zz"].iter().map(|id| format!("{}-{id}", container.id)).collect();
    let seen: Vec<String> = output.success()?.stdout.lines().map(str::to_owned).collect();
    for id in &ids {
        container.call(["delete", "--force", id]).output()?.success()?;
    }
    equal("ids", seen, ids)
}

/// A stopped container is listed until it is deleted, with pid 0.
fn of_stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    let all = list(&container)?;
    equal("status", &all[0]["status"], "stopped")?;
    equal("pid", &all[0]["pid"], 0)
}

/// Formats other than `table` and `json` are refused.
fn unknown_format() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    container.call(["list", "--format", "xml"]).output()?.fails_with("invalid format option").map(drop)
}

/// A state root that is given and does not exist is an error.
fn missing_root() -> Result {
    Call::new(["--root", "/nosuch/conformance", "list"]).output()?.failure().map(drop)
}

/// A broken container does not hide the others.
fn skips_what_it_cannot_read() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let broken = container.state_root().join("broken");
    fs::create_dir(&broken)?;
    fs::write(broken.join("state.json"), "{")?;
    let output = container.call(["list", "-f", "json"]).output()?;
    contains("list", &output.success()?.stdout, &container.id)?;
    contains("words about the other", &output.stderr, "broken")
}

/// The owner is the user who created the container.
fn names_the_owner() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    equal("owner", &list(&container)?[0]["owner"], "root")
}

/// The JSON is one line.
fn json_is_one_line() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let output = container.call(["list", "-f", "json"]).output()?;
    equal("lines", output.success()?.stdout.lines().count(), 1)?;
    ensure!(output.stdout.ends_with("]\n"), "{output}");
    Ok(())
}

/// A container that cannot be loaded is reported on standard error, also if there is a log, in every format of the
/// list.
fn broken_entries_are_told_of_on_stderr() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let log = container.aside("log");
    fs::create_dir(container.state_root().join("half"))?;
    fs::write(container.state_root().join("file"), "")?;
    for format in [&["list"][..], &["list", "-q"], &["list", "-f", "json"]] {
        let call = container.call(["--log", &log.to_string_lossy(), "--log-format", "json"]);
        let output = call.args(format).output()?;
        contains("list", &output.success()?.stdout, &container.id)?;
        equal("standard error", &*output.stderr, "load container half: container does not exist\n")?;
    }
    equal("log", &*fs::read_to_string(log)?, "")
}

/// The list holds no descriptor for each container: their number is not limited by that of descriptors.
fn more_containers_than_descriptors() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let record = fs::read_to_string(container.state_dir().join("state.json"))?;
    for number in 0..40 {
        let id = format!("{}-{number}", container.id);
        let directory = container.state_root().join(&id);
        fs::create_dir(&directory)?;
        let quoted = |id: &str| format!("\"id\":\"{id}\"");
        fs::write(directory.join("state.json"), record.replace(&quoted(&container.id), &quoted(&id)))?;
    }
    let output = container.call(["list", "-q"]).limiting(Resource::RLIMIT_NOFILE, 30, 30).output()?;
    equal("ids", output.success()?.stdout.lines().count(), 41)?;
    let output = container.call(["list"]).limiting(Resource::RLIMIT_NOFILE, 30, 30).output()?;
    equal("rows", output.success()?.stdout.lines().count(), 42)?;
    equal("errors", output.stderr.as_str(), "")
}

/// An annotation may be named as a member of the record is.
fn annotation_named_config() -> Result {
    let annotations = json!({ "config": "{", "a": ",\"config\":" });
    let container = Bundle::new(["pause"]).set("/annotations", annotations.clone()).create()?;
    equal("annotations", &list(&container)?[0]["annotations"], &annotations)?;
    container.command(["kill"])?.success().map(drop)
}

/// `list` and `state` have this status; the rest of their states is equal.
fn both_say(container: &Container, wanted: &str) -> Result {
    let mut all = list(container)?;
    let mut state = container.state()?;
    for one in all.iter_mut().chain([&mut state]) {
        one.as_object_mut().context("an object")?.shift_remove("owner");
    }
    equal("status", &state["status"], wanted)?;
    if runtime::is("crun") {
        // Its list has fewer members.
        return equal("list", [&all[0]["id"], &all[0]["status"]], [&state["id"], &state["status"]]);
    }
    equal("list", all, [state])
}

/// The text of the container's record is replaced.
fn edit_record(container: &Container, edit: impl FnOnce(&str) -> String) -> Result {
    let path = container.state_dir().join(if runtime::is("crun") { "status" } else { "state.json" });
    let text = fs::read_to_string(&path)?;
    let edited = edit(&text);
    ensure!(edited != text, "no change of {text}");
    Ok(fs::write(&path, edited)?)
}

/// Both have the status of a container that is started, paused and resumed.
fn both_follow(container: &Container) -> Result {
    both_say(container, "created")?;
    container.start()?;
    both_say(container, "running")?;
    container.command(["pause"])?.success()?;
    both_say(container, "paused")?;
    container.command(["resume"])?.success()?;
    both_say(container, "running")
}

/// `list` derives the status as `state` does, from the process, the gate and the cgroup.
fn agrees_with_state_about_each_status() -> Result {
    let container = Bundle::new(["pause"]).set("/annotations", json!({ "a": "b\n\"c\"" })).create()?;
    both_follow(&container)?;
    container.stop()?;
    both_say(&container, "stopped")
}

/// A process that nobody has waited for is dead.
fn zombie_is_stopped() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let running = container.spawn_run()?;
    eventually("the container runs", || Ok(container.command(["state"])?.stdout.contains("\"running\"")))?;
    let pid = container.pid()?;
    running.signal(Signal::SIGSTOP)?;
    kill(Pid::from_raw(pid), Signal::SIGKILL)?;
    let zombie = || Ok(fs::read_to_string(format!("/proc/{pid}/stat"))?.contains(") Z "));
    let seen = eventually("a zombie", zombie).and_then(|()| both_say(&container, "stopped"));
    running.signal(Signal::SIGCONT)?;
    running.wait()?;
    seen
}

/// The kernel gives the pid of a process that has ended to another one, with another start time.
fn pid_of_another_process_is_stopped() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    both_say(&container, "running")?;
    let key = match runtime::get().name.as_str() {
        "runc" => "\"init_process_start\":",
        "crun" => "\"process-start-time\": ",
        _ => "\"startTime\":",
    };
    edit_record(&container, |text| text.replacen(key, &format!("{key}1"), 1))?;
    both_say(&container, "stopped")
}

/// A cgroup that another program has removed is not frozen.
fn without_the_cgroup() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    container.cgroups().iter().for_each(|path| machine::remove_cgroup(path));
    both_say(&container, "stopped")
}

/// Older versions wrote one line, without the members `complete` and `freezer`.
fn record_of_an_older_version() -> Result {
    if !runtime::is("tare") {
        return skip("only tare's own record");
    }
    let container = Bundle::new(["pause"]).set("/annotations", json!({ "config": "\n,\"config\":{}" })).create()?;
    edit_record(&container, |text| {
        let format = text.find("\"format\":").unwrap_or_default();
        format!("{{{}", &text[format..]).replacen("\n,\"config\":", ",\"config\":", 1)
    })?;
    both_follow(&container)?;
    container.exec([], ["true"])?.success()?;
    container.command(["update", "--pids-limit", "20"])?.success()?;
    both_say(&container, "running")?;
    container.stop()?;
    both_say(&container, "stopped")?;
    container.command(["delete"])?.success()?;
    container.nothing_left()
}

/// If `create` was killed when its container had a process, nothing has said that the container is complete.
fn record_of_an_unfinished_create() -> Result {
    if !runtime::is("tare") {
        return skip("only tare's own record");
    }
    let container = Bundle::new(["pause"]).start()?;
    edit_record(&container, |text| text.replacen("\"complete\":2", "\"complete\":0", 1))?;
    both_say(&container, "running")?;
    let directory = fs::File::open(container.state_dir())?;
    directory.lock()?;
    equal("status", container.status()?, "creating")?;
    equal("status", &list(&container)?[0]["status"], "creating")?;
    drop(directory);
    both_say(&container, "running")
}

/// In a state directory that no boot outlives, `list` identifies a process by the number of its pidfd, and by its start
/// time if that does not answer the question.
fn state_directory_in_memory() -> Result {
    if !runtime::is("tare") {
        return skip("only tare's own record");
    }
    let container = Bundle::new(["pause"]).start()?;
    let memory = tempfile::tempdir_in("/dev/shm")?;
    let copy = memory.path().join(&container.id);
    fs::create_dir(&copy)?;
    let record = fs::read_to_string(container.state_dir().join("state.json"))?;
    let status = |edits: &[&str]| -> Result<String> {
        let edit = |text: String, key: &&str| text.replacen(*key, &format!("{key}1"), 1);
        fs::write(copy.join("state.json"), edits.iter().fold(record.clone(), edit))?;
        let output = Call::new(["--root", &memory.path().to_string_lossy(), "list"]).output()?;
        let row = output.success()?.stdout.lines().nth(1).context("a row")?;
        Ok(row.split_whitespace().nth(2).context("a status")?.to_owned())
    };
    let (start, pidfd) = ("\"startTime\":", "\"pidfd\":");
    equal("status", status(&[])?, "running")?;
    equal("status, another pidfd", status(&[pidfd])?, "running")?;
    equal("status, another process", status(&[pidfd, start])?, "stopped")?;
    container.command(["pause"])?.success()?;
    equal("status", status(&[])?, "paused")?;
    container.command(["resume"])?.success()?;
    container.stop()?;
    equal("status", status(&[])?, "stopped")
}

/// `update` replaces the record, also while the container waits for `start`.
fn update_of_a_created_one_keeps_its_gate() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    container.command(["update", "--pids-limit", "20"])?.success()?;
    both_say(&container, "created")?;
    container.start()?;
    container.command(["update", "--pids-limit", "21"])?.success()?;
    both_say(&container, "running")
}

/// A record that a full disk has cut off, or that is no text, leaves out its container and no other.
fn damaged_records() -> Result {
    if !runtime::is("tare") {
        return skip("only tare's own record: runc crashes");
    }
    let container = Bundle::new(["pause"]).start()?;
    let record = fs::read(container.state_dir().join("state.json"))?;
    let damaged = container.state_root().join("damaged");
    fs::create_dir(&damaged)?;
    // The second line is the config.
    let first = record.iter().position(|byte| *byte == b'\n').context("a line")?;
    let cuts = [1, 13, 20, first / 3, first / 2, first].map(|length| record[..length].to_vec());
    for text in cuts.into_iter().chain([vec![0xff; 300], b"{}".to_vec(), b"{\"complete\":1}\n,\"config\":{}}".to_vec()])
    {
        fs::write(damaged.join("state.json"), &text)?;
        for format in ["table", "json"] {
            let output = container.call(["list", "--format", format]).output()?;
            contains("list", &output.success()?.stdout, &container.id)?;
            ensure!(!output.stdout.contains("damaged"), "{output}");
            contains("standard error", &output.stderr, "damaged")?;
        }
        container.call(["state", "damaged"]).output()?.failure()?;
    }
    // Without the whole config the state is still known.
    fs::write(damaged.join("state.json"), &record[..record.len() - 20])?;
    container.call(["state", "damaged"]).output()?.success()?;
    container.call(["exec", "damaged", "/payload", "true"]).output()?.fails_with("not a record of this program")?;
    Ok(())
}

/// Each container has an owner of its own; a user without a name is a number.
fn names_each_owner() -> Result {
    if runtime::is("crun") {
        return skip("it keeps the owner in its record");
    }
    let container = Bundle::new(["pause"]).create()?;
    for (uid, name) in [(4_000_000, "#4000000"), (1, "daemon"), (0, "root")] {
        chown(container.state_dir(), Some(uid), None)?;
        equal("owner", &list(&container)?[0]["owner"], name)?;
        let output = container.call(["list"]).output()?;
        equal("owner", output.success()?.stdout.split_whitespace().last(), Some(name))?;
    }
    Ok(())
}

/// Several threads share the work on many containers. The order is that of the ids, also for what is left out.
fn many_containers() -> Result {
    if runtime::is("crun") {
        return skip("its record does not have the id");
    }
    let container = Bundle::new(["pause"]).start()?;
    let record = fs::read_to_string(container.state_dir().join("state.json"))?;
    let broken = |number: i32| number % 50 == 7;
    for number in 0..300 {
        let id = format!("many-{number:03}");
        let directory = container.state_root().join(&id);
        fs::create_dir(&directory)?;
        let text = record.replace(&format!("\"id\":\"{}\"", container.id), &format!("\"id\":\"{id}\""));
        fs::write(directory.join("state.json"), if broken(number) { "" } else { &text })?;
    }
    let mut wanted: Vec<String> = (0..300).filter(|number| !broken(*number)).map(|n| format!("many-{n:03}")).collect();
    wanted.push(container.id.clone());
    wanted.sort();
    let rows = |words: &[&str]| -> Result<Vec<Vec<String>>> {
        let output = container.call([]).args(words).output()?;
        let told: Vec<&str> = output.success()?.stderr.lines().collect();
        equal("left out", told.len(), 6)?;
        ensure!(told.is_sorted() && told.iter().all(|line| line.contains("many-")), "{output}");
        Ok(output.stdout.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect())
    };
    let ids = |rows: &[Vec<String>]| rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    equal("list -q", ids(&rows(&["list", "-q"])?), &*wanted)?;
    let table = rows(&["list"])?;
    equal("list", ids(&table[1..]), &*wanted)?;
    ensure!(table[1..].iter().all(|row| row[1..] == table[1][1..] && row[2] == "running"), "{table:?}");
    let all: Vec<Value> = serde_json::from_str(&container.call(["list", "-f", "json"]).output()?.success()?.stdout)?;
    let seen: Vec<&str> = all.iter().filter_map(|state| state["id"].as_str()).collect();
    equal("list -f json", seen, &*wanted)
}
