//! Running a command to its end, and how long that took.

use crate::{
    problem::Problem,
    setting::{Setting, Tool},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};
use std::{
    fs::{self, File},
    io::{self, Read, Seek},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};
use testservers::Process;

/// Time between two looks at how much memory a command holds: the kernel keeps the most that it was, until it ends.
const LOOK: Duration = Duration::from_millis(20);

/// What a command came to.
pub(crate) struct Run {
    command: String,
    limit: Duration,
    /// When it started.
    pub(crate) begin: Instant,
    /// Wall time from its start to its end. It includes about a millisecond for the program that starts it in such a way
    /// that it ends with this process, the same for everybody.
    pub(crate) took: Duration,
    /// How it ended; none where it had to be killed.
    pub(crate) status: Option<ExitStatus>,
    /// The most memory that it was seen to hold at once, in millions of bytes.
    pub(crate) memory: f64,
    output: String,
}

impl Run {
    /// This run, where the command has ended, in whatever way.
    pub(crate) fn ended(self) -> Result<Self, Problem> {
        if self.status.is_none() {
            return Err(Problem::TooLong { command: self.command, limit: self.limit });
        }
        Ok(self)
    }

    /// This run, where the command did what it was to do: exit code 0.
    pub(crate) fn done(self) -> Result<Self, Problem> {
        let run = self.ended()?;
        match run.status {
            Some(status) if !status.success() => {
                let lines: Vec<&str> = run.output.lines().collect();
                let last_words = lines.get(lines.len().saturating_sub(6)..).unwrap_or_default().join(" / ");
                Err(Problem::Failed { command: run.command, status: status.to_string(), last_words })
            }
            _ => Ok(run),
        }
    }
}

/// Runs a tool with these words; kills it where it has not ended after `limit`.
///
/// # Errors
/// When this machine refuses something; however the tool ends is no error here.
pub(crate) fn run(setting: &Setting, tool: Tool, words: &[&str], limit: Duration) -> Result<Run, Problem> {
    let invocation = setting.invocation(tool);
    let name = invocation.file.file_name().unwrap_or_default().display().to_string();
    let command = [&[name.as_str()], words.get(..3).unwrap_or(words)].concat().join(" ");
    let refused = |source| Problem::System { what: format!("cannot run {command}"), source };

    // A file, because what stands at the other end of a pipe would wake up for every line and cost the tool time.
    let mut output = tempfile::tempfile().map_err(refused)?;
    let streams = (output.try_clone().map_err(refused)?, output.try_clone().map_err(refused)?);

    let begin = Instant::now();
    let mut process = Process::start(&invocation.program, |tool| {
        tool.args(&invocation.words)
            .args(words)
            .stdin(Stdio::null())
            .stdout(streams.0)
            .stderr(streams.1)
            .env("TERM", "dumb");
        for password in ["REDISCLI_AUTH", "VALKEYCLI_AUTH", "TRIBUNE_AUTH"] {
            tool.env_remove(password);
        }
    });
    let mut memory = 0.0_f64;
    let ended = ends_by(&process, begin + limit, || memory = memory.max(peak_memory(&process)));
    let ended = ended.map_err(|errno| refused(errno.into()))?;
    let took = begin.elapsed();

    let status = if ended { process.exit_status() } else { None };
    drop(process);
    let output = text(&mut output).map_err(refused)?;
    Ok(Run { command, limit, begin, took, status, memory, output })
}

/// Waits for the end of a process, to the moment; false where the deadline comes first. Looks at it now and then.
fn ends_by(process: &Process, deadline: Instant, mut look: impl FnMut()) -> Result<bool, Errno> {
    let pid = i32::try_from(process.pid()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let pause = Timespec::try_from(left.min(LOOK)).map_err(|_| Errno::INVAL)?;
        match poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&pause)) {
            Ok(ready) if ready > 0 => return Ok(true),
            Ok(_) if left.is_zero() => return Ok(false),
            Ok(_) => look(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// The most memory that a process has held so far, in millions of bytes: `VmHWM`, which is in KiB.
fn peak_memory(process: &Process) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() * 1024.0 / 1e6
}

fn text(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
