//! Which of many sockets has something to read.

use super::wire::Stream;
use anyhow::Result;
use std::time::Duration;

#[cfg(target_os = "linux")]
mod system {
    use super::{Duration, Result, Stream};
    use anyhow::Context;
    use rustix::buffer::spare_capacity;
    use rustix::event::{Timespec, epoll};
    use std::os::fd::OwnedFd;

    /// The kernel's list of those that are readable.
    pub(crate) struct Ready {
        epoll: OwnedFd,
        events: Vec<epoll::Event>,
    }

    impl Ready {
        /// Watches all of them, by their places.
        pub(crate) fn new(streams: &[Stream]) -> Result<Self> {
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("no epoll")?;
            for (place, stream) in streams.iter().enumerate() {
                let data = epoll::EventData::new_u64(place as u64);
                epoll::add(&epoll, stream, data, epoll::EventFlags::IN).context("cannot watch a socket")?;
            }
            Ok(Self { epoll, events: Vec::with_capacity(256) })
        }

        /// Waits until one has something; the places of those that have. None: nothing in time.
        pub(crate) fn wait(&mut self, timeout: Duration) -> Result<impl Iterator<Item = usize> + '_> {
            self.events.clear();
            let timeout = Timespec::try_from(timeout)?;
            epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timeout)).context("waiting")?;
            Ok(self.events.iter().map(|event| event.data.u64() as usize))
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Duration, Result, Stream};
    use anyhow::bail;

    /// Linux only.
    pub(crate) struct Ready;

    impl Ready {
        pub(crate) fn new(_: &[Stream]) -> Result<Self> {
            bail!("many raw sockets are watched on Linux only")
        }

        pub(crate) fn wait(&mut self, _: Duration) -> Result<impl Iterator<Item = usize> + '_> {
            Ok(std::iter::empty())
        }
    }
}

pub(super) use system::Ready;
