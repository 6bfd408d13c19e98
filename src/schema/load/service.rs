//! Services and their rpcs.

use std::sync::Arc;

use super::{IMPORTS, LoadError, Loader, display_type, position, scope::Scope};
use crate::schema::{
    descriptor::{Rpc, Service, Symbol},
    proto,
};

impl Loader {
    pub(super) fn link_service(
        &mut self,
        outer: &Scope<'_>,
        service: &proto::ServiceType,
        path: &[i32],
    ) -> Result<(), LoadError> {
        let scope = outer.inner(&service.name, None, path);
        let options = service.options.clone().unwrap_or_default();
        let mut methods = Vec::with_capacity(service.method.len());
        for (i, method) in service.method.iter().enumerate() {
            methods.push(self.link_rpc(&scope, method, &[2, position(i)])?);
        }
        let id = self.pool.find_service(&scope.name).ok_or_else(|| scope.error("was not declared"))?;
        let oauth_scopes = options.oauth_scopes.split(',').map(str::trim).filter(|s| !s.is_empty());
        let linked = Service {
            full_name: Arc::clone(&self.pool.service(id).full_name),
            methods,
            default_host: options.default_host,
            oauth_scopes: oauth_scopes.map(Into::into).collect(),
            comment: scope.comment(&[]),
        };
        self.settle_service(&scope, id, linked)
    }

    fn link_rpc(
        &self,
        scope: &Scope<'_>,
        method: &proto::MethodType,
        path: &[i32],
    ) -> Result<Rpc, LoadError> {
        let message = |name: &str| match self.resolve(&scope.name, name) {
            Some(Symbol::Message(id)) => Ok(id),
            Some(_) => Err(scope.error(&format!(
                "rpc {}: {} is not a known message",
                method.name,
                display_type(name)
            ))),
            None => Err(scope.error(&format!(
                "rpc {}: type {} is in none of the loaded files; {IMPORTS}",
                method.name,
                display_type(name)
            ))),
        };
        let options = method.options.clone().unwrap_or_default();
        Ok(Rpc {
            name: method.name.clone(),
            input: message(&method.input_type)?,
            output: message(&method.output_type)?,
            client_streaming: method.client_streaming,
            server_streaming: method.server_streaming,
            http: options.http.map(|rule| *rule),
            operation_info: options.operation_info,
            no_side_effects: options.idempotency_level == 1,
            deprecated: options.deprecated,
            comment: scope.comment(path),
        })
    }
}
