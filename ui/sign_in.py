"""Sign-in with Hugging Face, on a Space that has it: the token goes into the visitor's keyring."""

import os
from importlib.util import find_spec
from typing import Any

import gradio as gr

from backends import Sentence
from playground.keyring import INFERENCE_SCOPE, Keyring

from .events import PRIVATE, Updates
from .texts import t, told, words

_LOGIN = "/login/huggingface?_target_url=/"
_LOGOUT = "/logout?_target_url=/"
VARIABLES = ("OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OAUTH_SCOPES", "OPENID_PROVIDER_URL")
"""What a Space has with `hf_oauth: true` in its card."""


def has_sign_in() -> bool:
    """True on a Space whose card asks for it.

    Nowhere else: there Gradio would sign visitors in with its host's own account (CVE-2026-27167).
    """
    on_space = os.environ.get("SYSTEM") == "spaces" and "SPACE_ID" in os.environ
    set_up = all(os.environ.get(name) for name in VARIABLES)
    return on_space and set_up and all(map(find_spec, ("authlib", "itsdangerous")))


class SignIn:
    """The button, and the events that read the sign-in of an open page.

    Made outside of any `gr.Blocks`: inside, Gradio's button would go to Hugging Face in its own
    frame, where browsers keep the cookie of a sign-in back. As a link it opens a tab of its own.
    """

    def __init__(self) -> None:
        self.note = gr.HTML(_note(words("sign_in_note")), elem_id="sign-in-note")
        self.button = gr.LoginButton(
            t("sign_in"), link=_LOGIN, link_target="_blank", icon=None, variant="secondary",
            size="sm", scale=0, elem_id="sign-in",
        )  # fmt: skip

    def draw(self) -> None:
        """Draw the button and what it is for, where the page stands now."""
        with gr.Row(elem_classes="card-fields"):
            self.note.render()
            self.button.render()

    def read_on(self, trigger: Any, keyring: gr.State) -> Any:
        """Read the sign-in on a trigger; return the event."""
        return trigger(self.read, keyring, [self.note, self.button], queue=False, **PRIVATE)

    async def read(
        self, keyring: Keyring, token: gr.OAuthToken | None, profile: gr.OAuthProfile | None
    ) -> Updates:
        """Put the token of the visitor's sign-in into their keyring, or forget it.

        Gradio reads both from a cookie of the visitor's own browser, which no script can.
        """
        if token is None or profile is None:
            keyring.sign_out()
            return {
                self.note: _note(words("sign_in_note")),
                self.button: gr.Button(t("sign_in"), link=_LOGIN, link_target="_blank"),
            }
        name = profile.username
        keyring.sign_in(token.token, name, scopes=token.scope, expires_at=token.expires_at)
        note: str = Sentence("Signed in as {name}.", name=name)
        if INFERENCE_SCOPE not in token.scope.split():
            note = Sentence.chain(
                note,
                "You did not let this page ask Inference Providers: sign out and in again, and "
                "agree to it, or type a token.",
            )
        return {
            self.note: _note(told(note)),
            self.button: gr.Button(t("sign_out"), link=_LOGOUT, link_target="_self"),
        }


def _note(html: str) -> str:
    return f'<p class="kind">{html}</p>'
