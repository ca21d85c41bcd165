// Passkeys: asks the browser for one and sends its answer with the form. No page has a script in itself: the content policy forbids it.
"use strict";

const bytesOf = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
const textOf = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const withBytes = (list) => (list ?? []).map((each) => ({ ...each, id: bytesOf(each.id) }));

async function optionsOf(form) {
  if (form.dataset.passkey === "create") return JSON.parse(form.dataset.options);
  const answer = await fetch(form.dataset.options, { headers: { accept: "application/json" } });
  const options = await answer.json();
  if (!answer.ok) throw new Error(options.problem);
  return options;
}

async function credentialOf(kind, options) {
  options.challenge = bytesOf(options.challenge);
  if (kind === "create") {
    options.user.id = bytesOf(options.user.id);
    options.excludeCredentials = withBytes(options.excludeCredentials);
    return navigator.credentials.create({ publicKey: options });
  }
  options.allowCredentials = withBytes(options.allowCredentials);
  return navigator.credentials.get({ publicKey: options });
}

function asJson(credential) {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = textOf(credential.response[name]);
  }
  return JSON.stringify({ id: credential.id, rawId: textOf(credential.rawId), type: credential.type, response });
}

function wordsOf(error) {
  if (error.name === "NotAllowedError") return "No passkey was used. Try again, or choose another way.";
  if (error.name === "InvalidStateError") return "This device has a passkey for your account already.";
  return error.message || "The passkey could not be used. Try again.";
}

for (const form of window.PublicKeyCredential ? document.querySelectorAll("form[data-passkey]") : []) {
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [problem, button] = [form.querySelector(".problem"), form.querySelector("button")];
    problem.hidden = button.disabled = true;
    try {
      form.credential.value = asJson(await credentialOf(form.dataset.passkey, await optionsOf(form)));
      form.submit();
    } catch (error) {
      problem.textContent = wordsOf(error);
      problem.hidden = button.disabled = false;
    }
  });
}
