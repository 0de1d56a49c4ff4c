//! Our multiplexer, as the works of multiplexers use it. What they do is in `spanwire_bench_ends::mux`; here is
//! only what differs between subjects.

use anyhow::{Result, ensure};
use spanwire::mux::{self, Connection, MuxOptions, Server, ServerOptions};
use spanwire_bench_ends::Role;
use spanwire_bench_ends::mux::{self as works, Channel, Message, Multiplexer};

/// Is one end.
pub(super) fn run(role: &Role) -> Result<()> {
    works::runtime()?.block_on(works::run(&Ours, role))
}

/// With bounds that let 10,000 channels in, and no idle deadline.
fn options() -> MuxOptions {
    MuxOptions { channels: 20_000, backlog: 20_000, idle_timeout: None, ..MuxOptions::default() }
}

struct Ours;

/// One end of a logical connection.
struct Ends(mux::Channel);

impl Multiplexer for Ours {
    type Server = Server;
    type Link = Connection;
    type Channel = Ends;

    async fn listen(&self, url: &str) -> Result<(Server, String)> {
        let server = Server::with(ServerOptions { mux: options(), ..ServerOptions::default() });
        let url = server.listen(url).await?;
        Ok((server, url))
    }

    async fn dial(&self, url: &str) -> Result<Connection> {
        Ok(Connection::connect(url, options()).await?)
    }

    async fn accept(&self, server: &mut Server) -> Result<Ends> {
        Ok(Ends(server.accept("").await?))
    }

    async fn open(&self, link: &mut Connection) -> Result<Ends> {
        Ok(Ends(link.open("").await?))
    }
}

impl Channel for Ends {
    async fn send(&mut self, message: &Message) -> Result<()> {
        Ok(self.0.send(message.body()).await?)
    }

    /// What `send` took leaves by itself.
    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    async fn recv(&mut self, body_bytes: usize) -> Result<u64> {
        check(self.0.recv().await?.len(), body_bytes)?;
        Ok(1)
    }

    async fn echo(&mut self, body_bytes: usize) -> Result<()> {
        let body = self.0.recv().await?;
        check(body.len(), body_bytes)?;
        Ok(self.0.send(body).await?)
    }

    async fn ask(&mut self, message: &Message) -> Result<()> {
        self.send(message).await?;
        check(self.0.recv().await?.len(), message.body().len())
    }
}

fn check(length: usize, expected: usize) -> Result<()> {
    ensure!(length == expected, "a message of {length} bytes instead of {expected}");
    Ok(())
}
