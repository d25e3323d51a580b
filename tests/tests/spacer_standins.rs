//! `spacer init` copies Spacer's own runtime, made for nginx, into a project's `lib/`. Such a project runs unchanged:
//! what Weir has itself is never taken from there.

use weir_tests::{Sandbox, walk};

/// What Spacer copies.
const COPIED: [&str; 16] = [
    "flow",
    "topics",
    "uuid",
    "luaunit",
    "router",
    "route",
    "make_router",
    "run",
    "reject",
    "trace",
    "log_func_name",
    "internal_token",
    "resty/hmac",
    "resty/jwt",
    "resty/jwt-validators",
    "resty/evp",
];

#[tokio::test]
async fn a_project_with_spacers_own_files_in_lib_runs_without_them() {
    let mut project = Sandbox::builder().example("spacer-blog");
    for name in COPIED {
        project = project.file(
            &format!("lib/{name}.lua"),
            &format!("error('lib/{name}.lua is made for nginx: nobody may load it')\n"),
        );
    }
    walk(&project.build()).await;
}
