//! RESPONDENT (0063): answers surveys. Spec 5.2.

/// The answering side of surveys. On the wire and in its rules it is a REP: the same backtrace, hop
/// limit and back-pressure, and one answer per survey taken; only the protocol number differs.
pub type Respondent = super::rep::Rep;
