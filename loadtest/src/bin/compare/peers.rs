//! Starts each proxy with one worker, keep-alive to three backends and no access log, and ends it again.

use crate::CompareArgs;
use crate::feature::Feature;
use anyhow::Context;
use loadtest::child::{Running, with_parent};
use loadtest::program::{self, free_address};
use serde::Serialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A proxy that can take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// HAProxy, one thread.
    Haproxy,
    /// nginx, one worker.
    Nginx,
    /// plimsoll, one worker, metrics on.
    Plimsoll,
}

/// What all proxies share.
pub(crate) struct Place<'a> {
    /// Where their files are written.
    pub(crate) folder: &'a Path,
    pub(crate) backends: &'a [SocketAddr],
    /// Where traces are taken.
    pub(crate) collector: SocketAddr,
    /// Whether they relay connections instead of requests.
    pub(crate) tcp: bool,
}

/// A proxy that forwards.
pub(crate) struct Started {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
    /// plimsoll's admin server; nobody listens there for the others.
    pub(crate) admin: SocketAddr,
}

/// A proxy's program and the version that it tells.
pub(crate) struct Program {
    pub(crate) kind: Kind,
    pub(crate) version: String,
    path: PathBuf,
}

impl Program {
    /// Finds the program and asks it for its version.
    pub(crate) async fn find(kind: Kind, args: &CompareArgs) -> anyhow::Result<Program> {
        let path = match kind {
            Kind::Haproxy => match &args.haproxy_wheel {
                Some(version) => program::HAPROXY.program(version).await?,
                None => args.haproxy.clone().unwrap_or_else(|| PathBuf::from("haproxy")),
            },
            Kind::Nginx => args.nginx.clone().unwrap_or_else(|| PathBuf::from("nginx")),
            Kind::Plimsoll => match &args.plimsoll {
                Some(path) => path.clone(),
                None => std::env::current_exe()?.with_file_name("plimsoll"),
            },
        };
        let flag = if kind == Kind::Plimsoll { "--version" } else { "-v" };
        Ok(Program { kind, version: program::version(&path, flag).await?, path })
    }

    /// Starts the proxy on free ports with its configuration in `place`; returns once it forwards.
    pub(crate) async fn start(&self, place: &Place<'_>, feature: Option<Feature>) -> anyhow::Result<Started> {
        let (address, admin) = (free_address()?, free_address()?);
        let name = feature.map_or_else(|| "plain".to_owned(), |feature| feature.to_string());
        let file = place.folder.join(format!("{:?}-{name}.conf", self.kind));
        let mut text = if place.tcp {
            self.relaying(place, address, admin)
        } else {
            self.configuration(place.folder, address, admin, place.backends)
        };
        if let Some(feature) = feature {
            text.push_str(&feature.keys(place.folder, place.collector));
        }
        std::fs::write(&file, text)?;
        let mut command = with_parent()?;
        command.arg(&self.path);
        match self.kind {
            Kind::Haproxy => command.args(["-q", "-f"]).arg(&file),
            Kind::Nginx => command.arg("-p").arg(place.folder).arg("-c").arg(&file),
            Kind::Plimsoll => command.args(["run", "-c"]).arg(&file),
        };
        command.env("PLIMSOLL_LOG", "warn");
        let running = Running::start(command.stdin(Stdio::null())).context("cannot start a child process")?;
        program::ready(address, 1).await.with_context(|| format!("{:?} does not forward", self.kind))?;
        Ok(Started { running, address, admin })
    }

    fn configuration(
        &self,
        folder: &Path,
        address: SocketAddr,
        admin: SocketAddr,
        backends: &[SocketAddr],
    ) -> String {
        let each = |line: &dyn Fn(usize, &SocketAddr) -> String| -> String {
            backends.iter().enumerate().map(|(n, backend)| line(n + 1, backend)).collect()
        };
        match self.kind {
            Kind::Haproxy => {
                let servers = each(&|n, backend| format!("  server backend-{n} {backend}\n"));
                format!(
                    "global\n  nbthread 1\n  maxconn 8000\ndefaults\n  mode http\n  http-reuse always\n  \
                     timeout connect 5s\n  timeout client 60s\n  timeout server 60s\nfrontend web\n  bind {address}\n  \
                     default_backend app\nbackend app\n  balance roundrobin\n{servers}"
                )
            }
            Kind::Nginx => {
                let servers = each(&|_, backend| format!("    server {backend};\n"));
                let folder = folder.display();
                format!(
                    "worker_processes 1;\ndaemon off;\npid {folder}/nginx.pid;\nerror_log stderr;\n\
                     events {{ worker_connections 8000; }}\nhttp {{\n  access_log off;\n  \
                     keepalive_requests 1000000000;\n  client_body_temp_path {folder}/b;\n  \
                     proxy_temp_path {folder}/p;\n  fastcgi_temp_path {folder}/f;\n  uwsgi_temp_path {folder}/u;\n  \
                     scgi_temp_path {folder}/s;\n  upstream app {{\n{servers}    keepalive 1024;\n    \
                     keepalive_requests 1000000000;\n  }}\n  server {{\n    listen {address};\n    location / {{\n      \
                     proxy_pass http://app;\n      proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n    \
                     }}\n  }}\n}}\n"
                )
            }
            Kind::Plimsoll => {
                let list: Vec<String> = backends.iter().map(ToString::to_string).collect();
                format!(
                    "workers: 1\nadmin: {{address: {admin}}}\nlisteners: {{web: {{address: {address}}}}}\n\
                     upstreams: {{app: {{backends: [{}]}}}}\n",
                    list.join(", ")
                )
            }
        }
    }

    /// The configuration to relay connections.
    fn relaying(&self, place: &Place<'_>, address: SocketAddr, admin: SocketAddr) -> String {
        let each = |line: &dyn Fn(usize, &SocketAddr) -> String| -> String {
            place.backends.iter().enumerate().map(|(n, backend)| line(n + 1, backend)).collect()
        };
        match self.kind {
            Kind::Haproxy => {
                let servers = each(&|n, backend| format!("  server backend-{n} {backend}\n"));
                format!(
                    "global\n  nbthread 1\n  maxconn 8000\ndefaults\n  mode tcp\n  timeout connect 5s\n  \
                     timeout client 60s\n  timeout server 60s\nfrontend web\n  bind {address}\n  \
                     default_backend app\nbackend app\n  balance roundrobin\n{servers}"
                )
            }
            Kind::Nginx => {
                let servers = each(&|_, backend| format!("    server {backend};\n"));
                let folder = place.folder.display();
                format!(
                    "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\nworker_processes 1;\ndaemon off;\n\
                     pid {folder}/nginx.pid;\nerror_log stderr;\nevents {{ worker_connections 8000; }}\n\
                     stream {{\n  upstream app {{\n{servers}  }}\n  server {{\n    listen {address};\n    \
                     proxy_pass app;\n  }}\n}}\n"
                )
            }
            Kind::Plimsoll => {
                let list: Vec<String> = place.backends.iter().map(ToString::to_string).collect();
                format!(
                    "workers: 1\nadmin: {{address: {admin}}}\n\
                     listeners: {{web: {{address: {address}, protocol: tcp}}}}\n\
                     upstreams: {{app: {{backends: [{}]}}}}\n",
                    list.join(", ")
                )
            }
        }
    }
}
