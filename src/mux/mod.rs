//! Many logical connections over few physical ones.

pub mod tagged;
