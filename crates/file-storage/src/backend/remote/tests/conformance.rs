//! The conformance suite over each store, alone and with its guards.

use super::place::{RemotePlace, aerostore, azure, gcs, s3};
use crate::backend::conformance::conformance_suite;

mod s3_alone {
    use super::*;
    conformance_suite!(RemotePlace::bare(s3()));
}

mod s3_guarded {
    use super::*;
    conformance_suite!(RemotePlace::guarded(s3()));
}

mod aerostore_guarded {
    use super::*;
    conformance_suite!(RemotePlace::guarded(aerostore()));
}

mod azure_guarded {
    use super::*;
    conformance_suite!(RemotePlace::guarded(azure()));
}

mod gcs_guarded {
    use super::*;
    conformance_suite!(gcs().await);
}
