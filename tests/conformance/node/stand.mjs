// Where the SDKs find the gateway, and how the simulator behind it is told what to answer and asked what it saw.

function environment(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} must be set; pytest does so`);
  return value;
}

export const gateway = { url: environment("MOONGATE_URL"), key: environment("MOONGATE_KEY") };

let callers = 0;

/** A gateway without accounts, for callers who bring a key of their own; each call is another caller. */
export function bareGateway() {
  callers += 1;
  return { url: environment("MOONGATE_BARE_URL"), key: `sk-example-of-node-${process.pid}-${callers}` };
}

export const POEM = "床前明月光，疑是地上霜。🌕 Raising my head, I look at the bright moon; 低头思故乡。";
export const PIXEL =
  "data:image/png;base64," +
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/** A user's message that tells the simulator how to answer it. */
export function scripted(question, script) {
  return `${question}\nsimulate: ${JSON.stringify(script)}`;
}

/** The requests that reached the simulator with these words in them, the latest last. */
export async function seen(words) {
  const reply = await fetch(`${environment("SIMULATOR_URL")}/_simulator/seen`);
  return (await reply.json()).filter((record) => record.method === "POST" && record.body.includes(words));
}

/** How the latest of them ended, which may be a moment after its caller left. */
export async function ended(words) {
  for (let patience = 250; patience > 0; patience -= 1) {
    const outcome = (await seen(words)).at(-1)?.ended;
    if (outcome) return outcome;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("the upstream request is still open");
}
