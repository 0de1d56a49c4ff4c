//! [`Priority`]: how urgent a message is.

/// How urgent a message is. Where there is more to send than the connection takes, the four share it by
/// 64, 16, 4 and 1; so the less urgent ones never starve.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Priority {
    /// Before everything else.
    Urgent = 0,
    /// Before the ordinary.
    High = 1,
    /// The ordinary.
    #[default]
    Normal = 2,
    /// When nothing else is to be sent, mostly.
    Low = 3,
}

impl Priority {
    /// All four, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Urgent, Self::High, Self::Normal, Self::Low];

    /// Its share of a connection that has more to send than it takes.
    pub const fn weight(self) -> u64 {
        [64, 16, 4, 1][self as usize]
    }

    /// The one with this number.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Urgent),
            1 => Some(Self::High),
            2 => Some(Self::Normal),
            3 => Some(Self::Low),
            _ => None,
        }
    }
}
