//! SIGHUP, SIGINT and SIGTERM: they end what the program has started, and with it every wait of the program.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use qemu_dsl::launch::Killer;

use crate::run::RunError;

/// How long the program may take to clean up after a signal. What it leaves behind then, the next one removes.
const GRACE: Duration = Duration::from_secs(10);

/// What a signal ends.
pub(crate) struct Interrupts {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    signal: AtomicI32,
    running: Mutex<Option<Killer>>,
    done: Mutex<bool>,
    is_done: Condvar,
}

impl Interrupts {
    pub(crate) fn catch() -> Self {
        let signals = SigSet::from_iter([Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM]);
        let interrupts = Self { shared: Arc::default() };
        // Blocked in this thread and all that it starts; the programs that it starts get them back.
        if signals.thread_block().is_ok() {
            let shared = Arc::clone(&interrupts.shared);
            let waits = move || {
                while let Ok(caught) = signals.wait() {
                    shared.caught(caught);
                }
            };
            // Without the thread, the signals wait until the program ends by itself.
            let _ = std::thread::Builder::new().name("signals".to_owned()).spawn(waits);
        }
        interrupts
    }

    /// A signal ends this program from now on, instead of the one before.
    pub(crate) fn end_with(&self, killer: Killer) {
        let mut running = self.shared.running.lock().unwrap_or_else(PoisonError::into_inner);
        if self.shared.signal.load(Ordering::SeqCst) != 0 {
            killer.kill();
        }
        *running = Some(killer);
    }

    /// The signal as an error, if one came.
    pub(crate) fn check(&self) -> Result<(), RunError> {
        match Signal::try_from(self.shared.signal.load(Ordering::SeqCst)) {
            Ok(signal) => Err(RunError::Interrupted(signal)),
            Err(_) => Ok(()),
        }
    }

    /// The signal as the reason, if one came.
    pub(crate) fn or<T>(&self, result: Result<T, RunError>) -> Result<T, RunError> {
        self.check().and(result)
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        *self.shared.done.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.is_done.notify_all();
    }
}

impl Shared {
    fn caught(self: &Arc<Self>, signal: Signal) {
        let first = self.signal.swap(signal as i32, Ordering::SeqCst) == 0;
        if let Some(killer) = &*self.running.lock().unwrap_or_else(PoisonError::into_inner) {
            killer.kill();
        }
        if first {
            let shared = Arc::clone(self);
            let _ = std::thread::Builder::new().name("grace".to_owned()).spawn(move || shared.give_up(signal));
        }
    }

    /// Ends the program, whatever it waits for: a file system that does not answer, for one.
    fn give_up(&self, signal: Signal) {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.is_done.wait_timeout_while(done, GRACE, |done| !*done);
        if !*waited.unwrap_or_else(PoisonError::into_inner).0 {
            std::process::exit(128 + signal as i32);
        }
    }
}
