//! Rows on a terminal, and the keys.

use super::figures::{COLUMNS, Look, PEER_COLUMNS, Sort};
use crate::complaint::Complaint;
use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table, TableState};
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
        let rows = look.rows.iter().map(super::figures::Row::cells);
        let table =
            table(COLUMNS, rows, [20, 10, 5, 10, 10, 9, 9, 9, 9, 7, 8, 8]).row_highlight_style(CHOSEN);
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
    let lines: Vec<_> =
        row.endpoints.iter().chain(&row.reasons).map(|line| Line::from(line.as_str())).collect();
    let most = (inner.height / 2).max(1);
    let above = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(most);
    let [reasons, peers] = Layout::vertical([Constraint::Length(above), Constraint::Min(1)]).areas(inner);
    frame.render_widget(Paragraph::new(lines), reasons);
    // The socket is in the title.
    let [_, heads @ ..] = PEER_COLUMNS;
    let rows = row.present.iter().map(|[_, cells @ ..]| cells.clone());
    frame.render_widget(table(heads, rows, [24, 11, 8, 10, 10, 8, 8, 9, 8]), peers);
}

fn table<const N: usize>(
    heads: [&'static str; N],
    rows: impl Iterator<Item = [String; N]>,
    widths: [u16; N],
) -> Table<'static> {
    // Words on the left, figures on the right.
    let cell = |(column, text): (usize, String)| match column {
        0 => Cell::from(text),
        _ => Cell::from(Text::from(text).alignment(Alignment::Right)),
    };
    let line = move |cells: [String; N]| Row::new(cells.into_iter().enumerate().map(cell));
    let widths = widths.into_iter().enumerate().map(|(column, width)| match column {
        0 => Constraint::Min(width),
        _ => Constraint::Length(width),
    });
    Table::new(rows.map(line), widths).header(line(heads.map(str::to_owned)).style(HEAD))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use spanwire::Protocol;
    use spanwire::watch::{PeerSnapshot, Snapshot};

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
    fn no_size_is_too_small() {
        let mut screen = Screen::new("ipc:///x".into(), Sort::Name, report());
        press(&mut screen, KeyCode::Enter);
        for (width, height) in [(1, 1), (10, 3), (40, 8), (300, 100)] {
            drawn(&mut screen, width, height);
        }
    }
}
