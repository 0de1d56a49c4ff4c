//! Waiting for a point in time on a runtime, more exactly than its timers, which tick in milliseconds.

use crate::Pace;
use crate::pace::SHORT;
use anyhow::Result;
use std::time::{Duration, Instant};

/// A clock of this task.
#[derive(Debug)]
pub struct Clock {
    #[cfg(target_os = "linux")]
    alarm: tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>,
}

impl Clock {
    /// Waits until message `number` is due, and returns when that was. May be dropped. Gives the thread
    /// away now and then even when it is late, or a task that is late would keep the connection from being
    /// served.
    pub async fn wait(&self, pace: &Pace, number: u64) -> Result<Instant> {
        let due = pace.due(number);
        if number % LATE_AT_ONCE != 0 && Instant::now() >= due {
            return Ok(due);
        }
        loop {
            let ahead = due.saturating_duration_since(Instant::now());
            if ahead > SHORT {
                self.sleep(ahead).await?;
                continue;
            }
            tokio::task::yield_now().await;
            if Instant::now() >= due {
                return Ok(due);
            }
        }
    }
}

#[cfg(target_os = "linux")]
impl Clock {
    /// A clock, on the runtime that it is called on.
    pub fn new() -> Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let alarm = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // It owns the descriptor, which therefore stays open as long as it is watched: what is wrong
        // with `new` in general cannot happen here.
        #[allow(deprecated)]
        let alarm = tokio::io::unix::AsyncFd::new(alarm)?;
        Ok(Self { alarm })
    }

    async fn sleep(&self, span: Duration) -> Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        let once = Itimerspec { it_interval: none, it_value: Timespec::try_from(span)? };
        timerfd_settime(&self.alarm, TimerfdTimerFlags::empty(), &once)?;
        let mut rang = self.alarm.readable().await?;
        // Nobody else reads it, and how often it rang is always once.
        let _ = rustix::io::read(&self.alarm, &mut [0; 8]);
        rang.clear_ready();
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
impl Clock {
    /// A clock, on the runtime that it is called on.
    pub fn new() -> Result<Self> {
        Ok(Self {})
    }

    async fn sleep(&self, span: Duration) -> Result<()> {
        tokio::time::sleep(span).await;
        Ok(())
    }
}

/// So many that are late are sent one after the other.
const LATE_AT_ONCE: u64 = 16;
