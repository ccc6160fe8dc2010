"""One call of a route's function: FastAPI's `solve_dependencies`, following a plan."""

from typing import Any

from fastapi import BackgroundTasks, Request, Response
from fastapi.security import SecurityScopes

from app.forge.http.fast_path.plan import Arguments, Plan

UNKNOWN = object()


class Call:
    """Finds the arguments of a function in a request, and keeps what its dependencies share."""

    background_tasks: BackgroundTasks | None = None
    _response: Response | None = None

    def __init__(self, request: Request, body: Any) -> None:
        self.body = body
        # FastAPI's errors in its order. If there are any, the function must not be called.
        self.errors: list[Any] = []
        self._request = request
        # By key, the first value of each dependency.
        self._values: dict[Any, Any] = {}

    @property
    def response(self) -> Response:
        """Return the response whose headers and status dependencies may set."""
        if self._response is None:
            self._response = Response()
            del self._response.headers["content-length"]
            self._response.status_code = None  # type: ignore[assignment]
        return self._response

    async def arguments(self, plan: Plan) -> Arguments:
        """Return the arguments, after calling all dependencies. If there are `errors`, they are not complete."""
        arguments: Arguments = {}
        for each in plan.dependencies:
            value = self._values.get(each.key, UNKNOWN) if each.uses_cache else UNKNOWN
            if value is UNKNOWN or not each.plan.is_repeatable:
                count = len(self.errors)
                # Without dependencies there is nothing to wait for.
                own = await self.arguments(each.plan) if each.plan.dependencies else self.read(each.plan, {})
                if len(self.errors) > count:
                    continue
                if value is UNKNOWN:
                    value = await each.run(self._request, own)
                    self._values.setdefault(each.key, value)
            if each.name is not None:
                arguments[each.name] = value
        return self.read(plan, arguments)

    def read(self, plan: Plan, arguments: Arguments) -> Arguments:
        """Add the arguments that do not come from dependencies."""
        for name, read in plan.parameters:
            arguments[name] = read(self._request, self.errors)
        if plan.body_field is not None:
            arguments[plan.body_field.name], errors = plan.body_field.validate(self.body, loc=("body",))
            self.errors += errors
        if plan.has_objects:
            self._add_objects(plan, arguments)
        return arguments

    def _add_objects(self, plan: Plan, arguments: Arguments) -> None:
        """Add what FastAPI provides by type, such as the request."""
        for name in plan.request_names:
            arguments[name] = self._request
        if plan.background_tasks_name:
            if self.background_tasks is None:
                self.background_tasks = BackgroundTasks()
            arguments[plan.background_tasks_name] = self.background_tasks
        if plan.response_name:
            arguments[plan.response_name] = self.response
        if plan.security_scopes_name:
            arguments[plan.security_scopes_name] = SecurityScopes(list(plan.security_scopes))
