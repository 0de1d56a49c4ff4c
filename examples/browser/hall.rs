//! What the page talks to: three sockets on one port, each at a path of its own.

use crate::sums;
use spanwire::{ListenError, ListenOptions, Origins, PolySocket, PubSocket, RepSocket, WsListenOptions};
use std::time::Duration;

/// The sockets, and who serves them.
pub(crate) struct Hall {
    /// Where they are: the paths `/feed`, `/ask` and `/chat` below this.
    pub(crate) base: String,
    pub(crate) feed: PubSocket,
    pub(crate) ask: RepSocket,
    pub(crate) chat: PolySocket,
}

impl Hall {
    /// Listens at `address`, a host and a port, for pages that come from one of `origins`, and no others.
    pub(crate) async fn open(address: &str, origins: Vec<String>) -> Result<Self, ListenError> {
        // Without this a browser would be refused whatever page it shows: pages of strangers run in the
        // browsers of our users, too.
        let options = || {
            let ws = WsListenOptions { origins: Origins::Listed(origins.clone()), ..Default::default() };
            ListenOptions { ws, ..ListenOptions::default() }
        };
        let (feed, ask, chat) = (PubSocket::new(), RepSocket::new(), PolySocket::new());
        // The first may let the system choose the port; the others share it.
        let listener = feed.listen_with(&format!("ws://{address}/feed"), options()).await?;
        let base = listener.url().trim_end_matches("/feed").to_owned();
        ask.listen_with(&format!("{base}/ask"), options()).await?;
        chat.listen_with(&format!("{base}/chat"), options()).await?;
        tokio::spawn(publish(feed.clone()));
        tokio::spawn(answer(ask.clone()));
        tokio::spawn(relay(chat.clone()));
        Ok(Self { base, feed, ask, chat })
    }

    /// Closes the sockets, which ends those who serve them.
    pub(crate) async fn close(&self) {
        for socket in [self.feed.close(SOON).await, self.ask.close(SOON).await, self.chat.close(SOON).await] {
            if socket.abandoned > 0 {
                println!("{} messages were never sent", socket.abandoned);
            }
        }
    }
}

/// What is left to send gets so long.
const SOON: Duration = Duration::from_secs(1);

/// Temperatures of two cities, as a random walk, until the socket is closed.
async fn publish(feed: PubSocket) {
    let mut ticks = tokio::time::interval(Duration::from_millis(400));
    let mut dice = 7_u32;
    let mut tenths = [("oslo", -30_i32), ("rome", 180)];
    loop {
        ticks.tick().await;
        for (city, now) in &mut tenths {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *now += i32::try_from((dice >> 16) % 7).unwrap_or(0) - 3;
            let (sign, whole) = (if *now < 0 { "-" } else { "" }, now.abs());
            if feed.send(format!("{city} {sign}{}.{}", whole / 10, whole % 10)).await.is_err() {
                return;
            }
        }
    }
}

/// Works out sums until the socket is closed.
async fn answer(ask: RepSocket) {
    while let Ok(request) = ask.recv().await {
        let answer = match std::str::from_utf8(&request).map(sums::evaluate) {
            Ok(Some(value)) => value.to_string(),
            Ok(None) | Err(_) => "that is no sum".to_owned(),
        };
        // Whoever asked may be gone by now.
        let _ = request.reply(answer).await;
    }
}

/// Tells everybody what one of them says, until the socket is closed. To the pages it is a plain PAIR.
async fn relay(chat: PolySocket) {
    while let Ok(message) = chat.recv().await {
        let others = chat.peers().into_iter().map(|peer| peer.pipe);
        for other in others.filter(|other| Some(*other) != message.pipe()) {
            // One that takes nothing misses it: it must not keep the others waiting.
            let _ = chat.try_send(message.clone().to(other));
        }
    }
}
