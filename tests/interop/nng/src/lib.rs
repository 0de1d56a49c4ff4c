//! Nothing of ours: this package exists for what its dependency builds.

use nng_c_sys as _;
