//! [`PerAlpn`]: a configuration, and its variants for protocols inside of TLS.

use std::sync::{Arc, Mutex, PoisonError};

/// A configuration for rustls. Making one for each connection would copy it; so each is made once.
pub(super) struct PerAlpn<C> {
    base: Arc<C>,
    made: Mutex<Vec<(Names, Arc<C>)>>,
}

/// Protocols in the order in which we like them.
type Names = Vec<Vec<u8>>;

/// Only the library names protocols, and it knows fewer. One more is made anew each time.
const KEPT: usize = 8;

impl<C: Clone> PerAlpn<C> {
    pub(super) fn new(base: C) -> Self {
        Self { base: Arc::new(base), made: Mutex::default() }
    }

    /// The configuration for connections that speak one of the protocols in `alpn`; `set` writes that into a copy.
    pub(super) fn get(&self, alpn: &[&[u8]], set: impl FnOnce(&mut C, Names)) -> Arc<C> {
        if alpn.is_empty() {
            return self.base.clone();
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, config)) = made.iter().find(|(names, _)| names == alpn) {
            return config.clone();
        }
        let names: Names = alpn.iter().map(|name| name.to_vec()).collect();
        let mut config = C::clone(&self.base);
        set(&mut config, names.clone());
        let config = Arc::new(config);
        if made.len() < KEPT {
            made.push((names, config.clone()));
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_made_once_for_each_protocol() {
        let configs = PerAlpn::new(Vec::<Vec<u8>>::new());
        let get = |alpn: &[&[u8]]| configs.get(alpn, |config, names| *config = names);
        assert!(Arc::ptr_eq(&get(&[]), &get(&[])));
        assert!(Arc::ptr_eq(&get(&[b"a"]), &get(&[b"a"])));
        assert_eq!(*get(&[b"a", b"b"]), [b"a", b"b"]);
        assert!(get(&[]).is_empty());
    }
}
