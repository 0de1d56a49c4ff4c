//! Many logical connections over few physical ones.

pub mod pool;
pub mod tagged;
