//! The matrix: what stands in it, and how its cells are run.

use crate::address::Transport;
use crate::cases::{self, Case};
use crate::foreign::{Foreign, Library};
use crate::talk;

/// Which socket is ours. The other one follows from it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ours {
    Req,
    Rep,
    Pub,
    Sub,
    Push,
    Pull,
    Surveyor,
    Respondent,
    Bus,
    Pair0,
    Pair1,
    /// PAIR v1 in polyamorous mode, with two plain ones of theirs.
    Poly,
    /// Two plain ones of ours, with a polyamorous one of theirs.
    Pair1OfPoly,
}

impl Ours {
    pub(crate) const ALL: [Self; 13] = [
        Self::Req,
        Self::Rep,
        Self::Pub,
        Self::Sub,
        Self::Push,
        Self::Pull,
        Self::Surveyor,
        Self::Respondent,
        Self::Bus,
        Self::Pair0,
        Self::Pair1,
        Self::Poly,
        Self::Pair1OfPoly,
    ];

    /// What stands on the other side.
    pub(crate) fn theirs(self) -> &'static str {
        match self {
            Self::Req => "rep",
            Self::Rep => "req",
            Self::Pub => "sub",
            Self::Sub => "pub",
            Self::Push => "pull",
            Self::Pull => "push",
            Self::Surveyor => "respondent",
            Self::Respondent => "surveyor",
            Self::Bus => "bus",
            Self::Pair0 => "pair0",
            Self::Pair1 | Self::Poly => "pair1",
            Self::Pair1OfPoly => "pair1 poly",
        }
    }

    fn is_known_to(self, library: Library) -> bool {
        library != Library::Nanomsg || !matches!(self, Self::Pair1 | Self::Poly | Self::Pair1OfPoly)
    }
}

/// Who listens; the other one dials.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listens {
    We,
    They,
}

/// One case of the matrix.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) ours: Ours,
    pub(crate) transport: Transport,
    pub(crate) listens: Listens,
}

/// Every cell that a library has a part in.
fn cells(library: Library) -> Vec<Cell> {
    let mut transports = match library {
        // It knows no abstract names.
        Library::Nanomsg => vec![Transport::Tcp, Transport::Ipc],
        Library::Nng | Library::NewNng | Library::Pynng => {
            vec![Transport::Tcp, Transport::Ipc, Transport::Abstract]
        }
    };
    #[cfg(feature = "ws")]
    transports.push(Transport::Ws);
    if cfg!(feature = "tls") && library != Library::Nanomsg {
        transports.push(Transport::Tls);
        #[cfg(all(feature = "ws", feature = "tls"))]
        transports.push(Transport::Wss);
    }
    let mut cells = Vec::new();
    for ours in Ours::ALL.into_iter().filter(|ours| ours.is_known_to(library)) {
        for &transport in &transports {
            for listens in [Listens::We, Listens::They] {
                cells.push(Cell { ours, transport, listens });
            }
        }
    }
    cells
}

/// Runs every cell with a library.
pub(crate) async fn run(library: Library) {
    let case = |cell: Cell| {
        let name = format!("{} with {cell:?}", library.name());
        Case::new(name, [library], async move {
            let mut foreign = Foreign::again(library).await?;
            talk::talk(&cell, &mut foreign).await
        })
    };
    cases::run(library.name(), cells(library).into_iter().map(case).collect()).await;
}
