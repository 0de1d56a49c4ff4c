//! Rows on a terminal, and the keys.

use super::figures::{COLUMNS, Look, PEER_COLUMNS, Sort};
use super::muxes::{CARRIER_COLUMNS, CHANNEL_COLUMNS};
use crate::complaint::Complaint;
use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table, TableState, Wrap};
use spanwire::watch::Report;

/// What is on the screen.
pub(super) struct Screen {
    url: String,
    before: Option<Report>,
    now: Report,
    /// Why there is nothing newer.
    trouble: Option<String>,
    sort: Sort,
    turned: bool,
    chosen: TableState,
    /// The socket chosen is shown with its peers and reasons.
    open: bool,
}

/// What a key asks for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    End,
    GoOn,
}

const HEAD: Style = Style::new().add_modifier(Modifier::BOLD);
const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);
const QUIET: Style = Style::new().add_modifier(Modifier::DIM);
const WRONG: Style = Style::new().fg(Color::Red);

impl Screen {
    pub(super) fn new(url: String, sort: Sort, now: Report) -> Self {
        let chosen = TableState::default().with_selected(0);
        Self { url, before: None, now, trouble: None, sort, turned: false, chosen, open: false }
    }

    /// Another look was taken.
    pub(super) fn news(&mut self, report: Result<Report, Complaint>) {
        match report {
            Ok(report) => {
                self.before = Some(std::mem::replace(&mut self.now, report));
                self.trouble = None;
            }
            // What was seen last stays, marked as old.
            Err(complaint) => self.trouble = Some(complaint.to_string()),
        }
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Keys {
        if key.kind == KeyEventKind::Release {
            return Keys::GoOn;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Keys::End,
            KeyCode::Char('c') if control => return Keys::End,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('r') => self.turned = !self.turned,
            KeyCode::Up | KeyCode::Char('k') => self.chosen.select_previous(),
            KeyCode::Down | KeyCode::Char('j') => self.chosen.select_next(),
            KeyCode::Enter | KeyCode::Char('p') => self.open = !self.open,
            _ => {}
        }
        Keys::GoOn
    }

    pub(super) fn draw(&mut self, frame: &mut Frame<'_>) {
        let look = Look::new(self.before.as_ref(), &self.now, self.sort, self.turned);
        let chosen = self.chosen.selected().unwrap_or(0).min(look.rows.len().saturating_sub(1));
        self.chosen.select(Some(chosen));
        let details = if self.open { Constraint::Percentage(60) } else { Constraint::Length(0) };
        let parts = [Constraint::Length(2), Constraint::Min(3), details, Constraint::Length(1)];
        let [head, sockets, detail, foot] = Layout::vertical(parts).areas(frame.area());
        let state = match &self.trouble {
            None => Line::styled(self.url.as_str(), QUIET),
            Some(trouble) => Line::styled(trouble.lines().next().unwrap_or_default(), WRONG),
        };
        frame.render_widget(Text::from(vec![Line::styled(look.title.as_str(), HEAD), state]), head);
        let rows: Vec<_> = look.rows.iter().map(super::figures::Row::cells).collect();
        let table = table(&SOCKETS, &COLUMNS, &rows, sockets.width).row_highlight_style(CHOSEN);
        frame.render_stateful_widget(table, sockets, &mut self.chosen);
        if let (true, Some(row)) = (self.open, look.rows.get(chosen)) {
            draw_details(frame, row, detail);
        }
        let turned = if self.turned { ", turned round" } else { "" };
        let keys = format!(
            "q end   s sort (by {}{turned})   r turn round   ↑↓ choose   Enter peers and reasons",
            self.sort.name()
        );
        frame.render_widget(Line::styled(keys, QUIET), foot);
    }
}

fn draw_details(frame: &mut Frame<'_>, row: &super::figures::Row, area: Rect) {
    let block = Block::bordered().title(format!(" {} ", row.name));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let lines = row.endpoints.iter().chain(&row.transports).chain(&row.reasons);
    // Long ones go on in the next line.
    let height = |line: &String| line.chars().count().div_ceil(usize::from(inner.width.max(1)));
    let needed = lines.clone().map(height).sum::<usize>();
    let most = (inner.height / 2).max(1);
    let above = u16::try_from(needed).unwrap_or(u16::MAX).min(most);
    let [reasons, peers] = Layout::vertical([Constraint::Length(above), Constraint::Min(1)]).areas(inner);
    let text: Vec<_> = lines.map(|line| Line::from(line.as_str())).collect();
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: false }), reasons);
    if row.carriers.is_empty() {
        return frame.render_widget(nameless(&PEERS, PEER_COLUMNS, &row.present, peers.width), peers);
    }
    // All connections if there are few, with their head and a gap, else as many as leave half to their channels.
    let needed = u16::try_from(row.carriers.len() + 2).unwrap_or(u16::MAX).min(peers.height / 2);
    let parts = [Constraint::Length(needed), Constraint::Min(1)];
    let [carriers, channels] = Layout::vertical(parts).areas(peers);
    let table = nameless(&CARRIERS, CARRIER_COLUMNS, &row.carriers, carriers.width);
    frame.render_widget(table, carriers);
    let table = nameless(&CHANNELS, CHANNEL_COLUMNS, &row.channels, channels.width);
    frame.render_widget(table, channels);
}

/// A table without the first column, whose name is in the title.
fn nameless(room: &Room<11>, heads: [&'static str; 12], rows: &[[String; 12]], width: u16) -> Table<'static> {
    let [_, heads @ ..] = heads;
    let rows: Vec<_> = rows.iter().map(|[_, cells @ ..]| cells.clone()).collect();
    table(room, &heads, &rows, width)
}

/// How columns share a screen: the least width of each, and which stay where there is no room for all.
struct Room<const N: usize> {
    widths: [usize; N],
    /// The most important first.
    order: [usize; N],
}

/// Of [`COLUMNS`]: how much, how it fares, and then what it is.
const SOCKETS: Room<12> =
    Room { widths: [12, 8, 5, 7, 7, 8, 8, 7, 7, 7, 7, 7], order: [0, 3, 4, 2, 7, 8, 11, 10, 1, 9, 5, 6] };

/// Of [`PEER_COLUMNS`] without the socket.
const PEERS: Room<11> =
    Room { widths: [15, 10, 6, 6, 6, 6, 7, 7, 7, 7, 7], order: [0, 3, 4, 5, 6, 9, 8, 7, 2, 10, 1] };

/// Of [`CARRIER_COLUMNS`] without the name.
const CARRIERS: Room<11> =
    Room { widths: [15, 10, 8, 6, 6, 7, 7, 7, 7, 6, 10], order: [0, 2, 9, 3, 4, 10, 5, 6, 7, 8, 1] };

/// Of [`CHANNEL_COLUMNS`] without the name.
const CHANNELS: Room<11> =
    Room { widths: [12, 7, 10, 6, 7, 7, 7, 7, 7, 10, 7], order: [0, 3, 4, 7, 6, 9, 5, 8, 1, 2, 10] };

/// A table of those columns that have room. A cell that is cut off would tell a lie: 86,060 as 6,060.
fn table<const N: usize>(
    room: &Room<N>,
    heads: &[&'static str; N],
    rows: &[[String; N]],
    width: u16,
) -> Table<'static> {
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].len(), room.widths[column]]).max().unwrap_or_default()
    });
    let mut left = usize::from(width);
    let mut shown = [false; N];
    for column in room.order {
        // With a gap before each but the first, which says who it is and may be cut off.
        let needed = if column == 0 { room.widths[0] } else { widths[column] + 1 };
        if column == 0 || needed <= left {
            shown[column] = true;
            left = left.saturating_sub(needed);
        }
    }
    // Words on the left, figures on the right.
    let cell = |(column, text): (usize, &str)| match column {
        0 => Cell::from(text.to_owned()),
        _ => Cell::from(Text::from(text.to_owned()).alignment(Alignment::Right)),
    };
    let here = |(column, _): &(usize, &str)| shown[*column];
    let line = |cells: [&str; N]| Row::new(cells.into_iter().enumerate().filter(here).map(cell));
    let constraints = widths.iter().enumerate().filter(|(column, _)| shown[*column]);
    let constraints = constraints.map(|(column, width)| match column {
        0 => Constraint::Fill(1),
        _ => Constraint::Length(u16::try_from(*width).unwrap_or(u16::MAX)),
    });
    let lines = rows.iter().map(|row| line(row.each_ref().map(String::as_str)));
    Table::new(lines, constraints.collect::<Vec<_>>()).header(line(*heads).style(HEAD))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use spanwire::Protocol;
    use spanwire::watch::{
        MuxChannelSnapshot, MuxConnectionSnapshot, MuxRole, MuxSnapshot, PeerSnapshot, Snapshot,
    };

    fn report() -> Report {
        let mut report = Report::default();
        for name in ["first", "second"] {
            let mut socket = Snapshot::new(Protocol::Pull);
            socket.name = name.into();
            let mut peer = PeerSnapshot::default();
            peer.remote = format!("peer of {name}");
            socket.peers.push(peer);
            report.sockets.push(socket);
        }
        report
    }

    fn drawn(screen: &mut Screen, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        terminal.backend().to_string()
    }

    fn press(screen: &mut Screen, code: KeyCode) -> Keys {
        screen.key(KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn keys_choose_open_sort_and_end() {
        let mut screen = Screen::new("ipc:///x".into(), Sort::Name, report());
        let text = drawn(&mut screen, 140, 24);
        assert!(text.contains("first") && text.contains("second") && text.contains("ipc:///x"), "{text}");
        assert!(!text.contains("peer of"), "{text}");
        press(&mut screen, KeyCode::Enter);
        press(&mut screen, KeyCode::Down);
        let text = drawn(&mut screen, 140, 24);
        assert!(text.contains("peer of second") && !text.contains("peer of first"), "{text}");
        press(&mut screen, KeyCode::Up);
        press(&mut screen, KeyCode::Char('r'));
        press(&mut screen, KeyCode::Char('s'));
        let text = drawn(&mut screen, 140, 24);
        assert!(text.contains("by peers, turned round"), "{text}");
        assert_eq!(press(&mut screen, KeyCode::Char('x')), Keys::GoOn);
        for end in [KeyCode::Char('q'), KeyCode::Esc] {
            assert_eq!(press(&mut screen, end), Keys::End);
        }
        assert_eq!(screen.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Keys::End);
    }

    #[test]
    fn what_was_seen_last_stays_while_nobody_answers() {
        let mut screen = Screen::new("ipc:///x".into(), Sort::Name, report());
        screen.news(Err(Complaint::new("no answer: timed out")));
        let text = drawn(&mut screen, 140, 24);
        assert!(text.contains("no answer: timed out") && text.contains("first"), "{text}");
        screen.news(Ok(Report::default()));
        let text = drawn(&mut screen, 140, 24);
        assert!(
            !text.contains("no answer") && !text.contains("first") && text.contains("0 sockets"),
            "{text}"
        );
    }

    #[test]
    fn where_there_is_no_room_columns_are_left_out_and_none_is_cut_off() {
        let mut busy = report();
        for socket in &mut busy.sockets {
            socket.age = std::time::Duration::from_secs(1);
            (socket.ledger.sent_messages, socket.ledger.sent_bytes) = (7_654_321, 1 << 30);
            (socket.ledger.received_messages, socket.queues.peers) = (1_234_567, 42);
        }
        let mut screen = Screen::new("ipc:///x".into(), Sort::Name, busy);
        press(&mut screen, KeyCode::Enter);
        let head = |text: &str, start: &str| {
            text.lines().find(|line| line.contains(start)).map(str::to_owned).unwrap_or_default()
        };
        let mut before = 0;
        for width in 30..150 {
            let text = drawn(&mut screen, width, 24);
            let heads = head(&text, "SOCKET");
            let words: Vec<_> = heads.trim_matches('"').split_whitespace().collect();
            let known: Vec<_> = COLUMNS.join(" ").split_whitespace().map(str::to_owned).collect();
            assert!(words.iter().all(|word| known.iter().any(|other| other == word)), "{width}: {heads}");
            assert!(text.contains("7,654,321") && !text.contains(" ,"), "{width}: {text}");
            assert!(words.len() >= before, "{width}: more room, fewer columns: {heads}");
            before = words.len();
        }
        assert_eq!(before, COLUMNS.join(" ").split_whitespace().count(), "at last all of them");
        let narrow = drawn(&mut screen, 80, 24);
        let heads = head(&narrow, "SOCKET");
        assert!(
            ["PEERS", "OUT/S", "IN/S", "QUEUED", "DROPPED", "P99"].iter().all(|it| heads.contains(it)),
            "{narrow}"
        );
        let peers = head(&narrow, "ANSWERS");
        assert!(["PEER", "OUT/S", "P50", "P99"].iter().all(|it| peers.contains(it)), "{narrow}");
    }

    #[test]
    fn a_pool_is_opened_with_its_connections_and_channels() {
        let mut screen = Screen::new("ipc:///x".into(), Sort::Name, with_mux());
        press(&mut screen, KeyCode::Enter);
        press(&mut screen, KeyCode::Char('r'));
        let text = drawn(&mut screen, 140, 30);
        let words = [
            "tunnel",
            "10.0.0.1:7000",
            "ROUND TRIP",
            "TO SEND",
            "slow one",
            "3 stalls",
            "pool: connections 1",
        ];
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        assert!(!text.contains("ANSWERS"), "{text}");
        for width in 30..150 {
            drawn(&mut screen, width, 24);
        }
    }

    fn with_mux() -> Report {
        let mut channel = MuxChannelSnapshot::default();
        (channel.id, channel.stats.stalled_by_peer) = ("slow one".into(), 3);
        let mut connection = MuxConnectionSnapshot::default();
        connection.remote = "10.0.0.1:7000".into();
        connection.channels.push(channel);
        let mut tunnel = MuxSnapshot::new(MuxRole::Pool);
        tunnel.name = "tunnel".into();
        tunnel.connections.push(connection);
        let mut all = report();
        all.muxes.push(tunnel);
        all
    }

    #[test]
    fn no_size_is_too_small() {
        let mut screen = Screen::new("ipc:///x".into(), Sort::Name, with_mux());
        press(&mut screen, KeyCode::Enter);
        for (width, height) in [(1, 1), (10, 3), (40, 8), (300, 100)] {
            drawn(&mut screen, width, height);
        }
    }
}
