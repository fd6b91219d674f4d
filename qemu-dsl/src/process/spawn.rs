//! Starting a program, with what has to happen in the child between its birth and `exec`.
//!
//! `std::process::Command` does that with `fork`, which copies the page tables of this process: with 50 MB in use that takes
//! five times as long as all the rest, and it grows. On Linux the child is born with `CLONE_VM | CLONE_VFORK` instead, as in glibc's
//! `posix_spawn`, which itself cannot set `PR_SET_PDEATHSIG`. Elsewhere `Command` has to do.

use std::ffi::OsString;
use std::io::{self, PipeReader};
use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;

use nix::unistd::Pid;

use super::limits::Limits;
use crate::QemuCommand;

/// What is started.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) command: QemuCommand,
    /// Its working directory, where it is not this process's.
    pub(crate) dir: Option<PathBuf>,
    /// File descriptors that stay open in it, under their numbers. Whoever starts it holds them open meanwhile.
    pub(crate) passed: Vec<RawFd>,
    /// Its environment.
    pub(crate) environment: Environment,
    /// What it reads; nothing without this.
    pub(crate) stdin: Option<OwnedFd>,
    /// What it may use.
    pub(crate) limits: Limits,
    /// How readily the kernel kills it when memory runs out: -1000 to 1000. (`man 5 proc_pid_oom_score_adj`)
    pub(crate) oom_score_adj: Option<i16>,
    /// The open `cgroup.procs` of the control group that it enters before it runs. (Linux, cgroup v2)
    pub(crate) cgroup: Option<OwnedFd>,
}

/// The environment of a program: this process's or none, and what is added.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    pub(crate) cleared: bool,
    pub(crate) added: Vec<(OsString, OsString)>,
}

impl Environment {
    fn variables(&self) -> impl Iterator<Item = (OsString, OsString)> {
        let inherited = (!self.cleared).then(std::env::vars_os).into_iter().flatten();
        let added = &self.added;
        let inherited = inherited.filter(|(key, _)| added.iter().all(|(own, _)| own != key));
        // Wrappers look for programs, too.
        let inherited = inherited.filter_map(|(key, value)| match key {
            key if key == "PATH" => Some((key, crate::programs::absolute(&value)?)),
            key => Some((key, value)),
        });
        inherited.chain(added.iter().cloned())
    }
}

/// What has been started: a child of this process, in a session and a process group of its own.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) pid: Pid,
    pub(crate) stdout: PipeReader,
    pub(crate) stderr: PipeReader,
}

/// Only user and group can use the sockets that a program makes.
const UMASK: nix::libc::mode_t = 0o007;

impl Program {
    /// A program with nothing special about it.
    pub(crate) fn new(command: QemuCommand) -> Self {
        Self {
            command,
            dir: None,
            passed: Vec::new(),
            environment: Environment::default(),
            stdin: None,
            limits: Limits::new(),
            oom_score_adj: None,
            cgroup: None,
        }
    }

    /// Starts it. On Linux the kernel kills it when the calling *thread* ends.
    pub(crate) fn start(&self) -> io::Result<Started> {
        let (stdout, stdout_end) = io::pipe()?;
        let (stderr, stderr_end) = io::pipe()?;
        let pid = imp::start(self, stdout_end, stderr_end)?;
        Ok(Started { pid, stdout, stderr })
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod imp {
    use std::ffi::{CStr, CString, OsStr, OsString};
    use std::io::{self, PipeWriter};
    use std::os::fd::{AsRawFd, OwnedFd, RawFd};
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    use std::ptr;

    use nix::errno::Errno;
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc::{self, c_char, c_int, c_long};
    use nix::sched::{CloneFlags, clone};
    use nix::sys::resource::Resource;
    use nix::sys::signal::{SigSet, SigmaskHow};
    use nix::unistd::{Pid, getpid};

    use super::{Program, UMASK};

    /// Everything that the child needs, made before it is born: it must not allocate.
    struct Child {
        path: CString,
        argv: Vec<*const c_char>,
        envp: Vec<*const c_char>,
        dir: Option<CString>,
        /// What becomes its standard streams.
        streams: [RawFd; 3],
        passed: Vec<RawFd>,
        /// Whether it leaves this process's environment behind, and with it the keys of its session. (`man 7 session-keyring`)
        forgets: bool,
        limits: Vec<(libc::__rlimit_resource_t, libc::rlimit)>,
        limits_file_size: bool,
        /// The text of its `oom_score_adj`.
        oom_score_adj: Option<Vec<u8>>,
        cgroup: Option<RawFd>,
        parent: libc::pid_t,
    }

    pub(crate) fn start(program: &Program, stdout: PipeWriter, stderr: PipeWriter) -> io::Result<Pid> {
        let stdin = match &program.stdin {
            Some(stdin) => stdin.try_clone()?,
            None => std::fs::File::open("/dev/null")?.into(),
        };
        let streams = [above_streams(stdin)?, above_streams(stdout.into())?, above_streams(stderr.into())?];
        let cgroup = program.cgroup.as_ref().map(|file| above_streams(file.try_clone()?)).transpose()?;
        let limits = program.limits.set();
        let name = program.command.args().next().unwrap_or_default();
        let path = crate::programs::find(name).ok_or(io::ErrorKind::NotFound)?;
        let environment: Vec<CString> =
            program.environment.variables().filter_map(|(key, value)| assignment(key, &value)).collect();
        let child = Child {
            path: CString::new(path.into_os_string().into_vec())?,
            argv: program.command.argv().map(CStr::as_ptr).chain([ptr::null()]).collect(),
            envp: environment.iter().map(|variable| variable.as_ptr()).chain([ptr::null()]).collect(),
            dir: program.dir.as_ref().map(|dir| CString::new(dir.as_os_str().as_bytes())).transpose()?,
            streams: streams.each_ref().map(AsRawFd::as_raw_fd),
            passed: program.passed.clone(),
            forgets: program.environment.cleared,
            limits_file_size: limits.iter().any(|(resource, _)| *resource == Resource::RLIMIT_FSIZE),
            limits: limits
                .into_iter()
                .map(|(resource, value)| (resource as _, libc::rlimit { rlim_cur: value, rlim_max: value }))
                .collect(),
            oom_score_adj: program.oom_score_adj.map(|score| score.to_string().into_bytes()),
            cgroup: cgroup.as_ref().map(AsRawFd::as_raw_fd),
            parent: getpid().as_raw(),
        };
        let (pid, error) = born(&child)?;
        match error {
            None => Ok(pid),
            Some(error) => {
                // It has ended already, and nobody else waits for it.
                let _ = nix::sys::wait::waitpid(pid, None);
                Err(error)
            }
        }
    }

    /// Gives birth to the child, and returns once it runs its program or has failed to.
    fn born(child: &Child) -> io::Result<(Pid, Option<io::Error>)> {
        let mut stack = vec![0; 64 * 1024];
        let (mut error, mut outside) = (None, None);
        // A signal's handler would run in the child too, on this process's memory.
        let own_mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        let pid = {
            let (error, outside) = (&mut error, &mut outside);
            let exec = Box::new(move || {
                // SAFETY: this is the child, and everything that `child` points to is alive in the waiting parent.
                unsafe {
                    *outside = enter(child);
                    if outside.is_none() {
                        *error = Some(exec(child));
                    }
                }
                127
            });
            // SAFETY: with CLONE_VFORK this thread waits until the child has called `execve` or ended, so the stack, `child` and
            // the errors outlive the child's use of them; no other thread knows them. The child makes system calls only: it does not
            // allocate, lock or panic. All signals are blocked, so no handler runs in it.
            unsafe { clone(exec, &mut stack, CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK, Some(libc::SIGCHLD)) }
        };
        // It fails for no mask that has been a thread's own; and the child must not be lost over it.
        let _ = own_mask.thread_set_mask();
        // That has other reasons than a program that cannot be started.
        let outside = outside.map(|error: Errno| {
            let error = io::Error::from(error);
            io::Error::new(error.kind(), format!("it cannot enter its control group: {error}"))
        });
        Ok((pid?, outside.or(error.map(Into::into))))
    }

    /// Enters the control group; the error, if that fails.
    ///
    /// # Safety
    ///
    /// As [`exec`].
    unsafe fn enter(child: &Child) -> Option<Errno> {
        // SAFETY: a bare system call, and the text has so many bytes. "0" is whoever writes.
        let entered = child.cgroup.is_none_or(|procs| unsafe { libc::write(procs, c"0".as_ptr().cast(), 1) == 1 });
        (!entered).then(Errno::last)
    }

    /// Becomes the program; the error, if that fails.
    ///
    /// # Safety
    ///
    /// To be called in a child that shares its parent's memory, while the parent's thread waits and signals are blocked.
    unsafe fn exec(child: &Child) -> Errno {
        // SAFETY: each of these is a bare system call. The pointers in `child` are to NUL-terminated strings, and the arrays end
        // with a null pointer. The child has its own descriptors, umask, working directory and signal dispositions (neither
        // CLONE_FILES nor CLONE_FS nor CLONE_SIGHAND is set), so none of this changes the parent.
        unsafe {
            // A group and a session of its own: what shares a session shares its terminal, and can write to it, or type into it.
            if libc::setsid() < 0 {
                return Errno::last();
            }
            if child.forgets {
                // Where there are no keyrings there is nothing to leave.
                libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, ptr::null::<c_char>());
            }
            libc::umask(UMASK);
            if let Some(score) = &child.oom_score_adj {
                say(c"/proc/self/oom_score_adj", score);
            }
            for (number, &fd) in (0..).zip(&child.streams) {
                if libc::dup2(fd, number) != number {
                    return Errno::last();
                }
            }
            // What this process has open stays its own, whoever forgot to say so. (Linux 5.11; before, each descriptor's own
            // flag decides.)
            libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
            for &fd in &child.passed {
                if libc::fcntl(fd, libc::F_SETFD, 0) != 0 {
                    return Errno::last();
                }
            }
            if let Some(dir) = &child.dir
                && libc::chdir(dir.as_ptr()) != 0
            {
                return Errno::last();
            }
            if libc::prctl(libc::PR_SET_PDEATHSIG, c_long::from(libc::SIGKILL)) != 0 {
                return Errno::last();
            }
            // The parent may have died before the line above took effect.
            if libc::getppid() != child.parent {
                return Errno::ECHILD;
            }
            default_signals(child.limits_file_size);
            // The last thing: from here on they hold for this process too.
            for (resource, limit) in &child.limits {
                if libc::setrlimit(*resource, &raw const *limit) != 0 {
                    return Errno::last();
                }
            }
            libc::execve(child.path.as_ptr(), child.argv.as_ptr(), child.envp.as_ptr());
            Errno::last()
        }
    }

    /// Writes to a file of the kernel's, where there is one: it is help, not a promise.
    ///
    /// # Safety
    ///
    /// As [`exec`].
    unsafe fn say(path: &CStr, text: &[u8]) {
        // SAFETY: bare system calls; the path ends with a NUL, and `text` has the length that is given.
        unsafe {
            let flags = libc::O_WRONLY | libc::O_CLOEXEC;
            #[allow(clippy::cast_possible_truncation)] // a descriptor is an int
            let file = libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags) as c_int;
            if file >= 0 {
                libc::write(file, text.as_ptr().cast(), text.len());
                libc::close(file);
            }
        }
    }

    /// Takes this process's handlers off, and unblocks all signals: the program starts as from a shell. A limit of file sizes is an
    /// error of writing only where its signal is ignored.
    ///
    /// # Safety
    ///
    /// As [`exec`].
    unsafe fn default_signals(limits_file_size: bool) {
        // SAFETY: bare system calls on values of this function's own; the dispositions are the child's own. A number that is no
        // signal, or one that cannot be changed, is refused and stays as it is.
        unsafe {
            let mut default: libc::sigaction = std::mem::zeroed();
            default.sa_sigaction = libc::SIG_DFL;
            for signal in 1..=libc::SIGRTMAX() {
                let mut now: libc::sigaction = std::mem::zeroed();
                let known = libc::sigaction(signal, ptr::null(), &raw mut now) == 0;
                // What is ignored stays so, as under nohup; but for SIGPIPE, which Rust's own start ignores.
                if known && (now.sa_sigaction != libc::SIG_IGN || signal == libc::SIGPIPE) {
                    libc::sigaction(signal, &raw const default, ptr::null_mut());
                }
            }
            if limits_file_size {
                let mut ignored: libc::sigaction = std::mem::zeroed();
                ignored.sa_sigaction = libc::SIG_IGN;
                libc::sigaction(libc::SIGXFSZ, &raw const ignored, ptr::null_mut());
            }
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
        }
    }

    /// The same file under a number that no standard stream has, for a process that has closed its own.
    fn above_streams(fd: OwnedFd) -> io::Result<OwnedFd> {
        use std::os::fd::FromRawFd as _;
        if fd.as_raw_fd() > 2 {
            return Ok(fd);
        }
        let number: c_int = fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(3))?;
        // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    }

    /// `KEY=value`.
    fn assignment(key: OsString, value: &OsStr) -> Option<CString> {
        let mut text = key.into_vec();
        text.push(b'=');
        text.extend_from_slice(value.as_bytes());
        // The environment is made of C strings, so none holds a NUL.
        CString::new(text).ok()
    }
}

#[cfg(not(target_os = "linux"))]
#[allow(unsafe_code)]
mod imp {
    use std::io::{self, PipeWriter};
    use std::os::unix::process::CommandExt as _;
    use std::process::Stdio;

    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    use nix::sys::resource::setrlimit;
    use nix::sys::stat::{Mode, umask};
    use nix::unistd::Pid;

    use super::{Program, UMASK};

    pub(crate) fn start(program: &Program, stdout: PipeWriter, stderr: PipeWriter) -> io::Result<Pid> {
        let mut command = program.command.to_command();
        let stdin = match &program.stdin {
            Some(stdin) => Stdio::from(stdin.try_clone()?),
            None => Stdio::null(),
        };
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        command.env_clear().envs(program.environment.variables());
        if let Some(dir) = &program.dir {
            command.current_dir(dir);
        }
        let (passed, limits) = (program.passed.clone(), program.limits.set());
        let in_child = move || {
            // What shares a session shares its terminal.
            nix::unistd::setsid()?;
            umask(Mode::from_bits_truncate(UMASK));
            for &fd in &passed {
                // SAFETY: whoever starts the program holds the descriptor open meanwhile.
                let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
                fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
            }
            for &(resource, limit) in &limits {
                setrlimit(resource, limit, limit)?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec only async-signal-safe calls are allowed: `setsid`, `umask`, `fcntl` and `setrlimit` are bare, and
        // nothing here allocates or locks (an `Errno` becomes an `io::Error` without memory of its own).
        let child = unsafe { command.pre_exec(in_child) }.spawn()?;
        // Dropping a `Child` neither waits for nor ends it.
        Ok(Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX)))
    }
}
