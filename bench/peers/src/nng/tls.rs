//! TLS in NNG, which mbedTLS does: the certificate of the benchmark, verified by clients.

use super::check;
use anyhow::Result;
use nng_c_sys as c;
use spanwire_bench_ends::secure;
use std::ffi::CString;
use std::ptr::{null, null_mut};

/// Whether an address is one with TLS.
pub(super) fn is_needed(url: &str) -> bool {
    url.starts_with("tls+") || url.starts_with("wss")
}

pub(super) fn secure_listener(listener: c::nng_listener) -> Result<()> {
    let config = config(c::nng_tls_mode::NNG_TLS_MODE_SERVER)?;
    let (certificate, key) = (CString::new(secure::CERTIFICATE)?, CString::new(secure::KEY)?);
    let name = c::NNG_OPT_TLS_CONFIG.as_ptr().cast();
    // SAFETY: all strings end with a zero; the listener keeps the configuration.
    unsafe {
        check(c::nng_tls_config_own_cert(config, certificate.as_ptr(), key.as_ptr(), null()))?;
        check(c::nng_listener_set_ptr(listener, name, config.cast()))
    }
}

pub(super) fn secure_dialer(dialer: c::nng_dialer) -> Result<()> {
    let config = config(c::nng_tls_mode::NNG_TLS_MODE_CLIENT)?;
    let authority = CString::new(secure::CERTIFICATE)?;
    let name = c::NNG_OPT_TLS_CONFIG.as_ptr().cast();
    // SAFETY: all strings end with a zero; the dialer keeps the configuration.
    unsafe {
        check(c::nng_tls_config_ca_chain(config, authority.as_ptr(), null()))?;
        // It knows no IP addresses in certificates.
        check(c::nng_tls_config_server_name(config, c"localhost".as_ptr()))?;
        check(c::nng_tls_config_auth_mode(config, c::nng_tls_auth_mode::NNG_TLS_AUTH_MODE_REQUIRED))?;
        check(c::nng_dialer_set_ptr(dialer, name, config.cast()))
    }
}

/// A configuration, which lives as long as the process: there is one.
fn config(mode: c::nng_tls_mode::Type) -> Result<*mut c::nng_tls_config> {
    let mut config = null_mut();
    // SAFETY: `config` is where the new configuration goes.
    check(unsafe { c::nng_tls_config_alloc(&mut config, mode) })?;
    Ok(config)
}
