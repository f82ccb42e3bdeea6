// Signing in at an OpenID Connect provider, confirming there, and being refused.
import { assert, check, open, scenario } from "./harness.mjs";

await scenario(async ({ page, context }) => {
  const press = (name) => page.getByRole("button", { name, exact: true }).filter({ visible: true }).click();

  // What the provider asks: who it is, and once whether this server may know.
  const identify = async (email) => {
    await page.getByPlaceholder("Enter any login").fill(email);
    await page.getByPlaceholder("and password").fill("anything");
    await press("Sign-in");
  };

  await open(page, "/login?next=%2Fme");
  await check(page, "login-with-provider");
  await page.getByRole("link", { name: "Sign in with Example login" }).click();
  await identify("grace@example.com");
  await press("Continue");
  await page.getByRole("heading", { name: "Your profile" }).waitFor();
  assert.ok((await page.content()).includes("grace@example.com"));

  // Confirming asks again, although the provider knows the browser.
  await open(page, "/confirm?next=%2Fme");
  assert.equal(await page.getByLabel("Password").count(), 0);
  await check(page, "confirm-with-provider");
  await page.getByRole("link", { name: "Confirm with Example login" }).click();
  await identify("grace@example.com");
  await page.getByRole("heading", { name: "Your profile" }).waitFor();

  // Somebody else at the provider, who signed in there meanwhile, does not confirm Grace's session.
  await context.clearCookies({ name: /^_session/ });
  await open(page, "/confirm?next=%2Fme");
  await page.getByRole("link", { name: "Confirm with Example login" }).click();
  await identify("nobody@example.com");
  await press("Continue");
  await page.getByText("You are somebody else at Example login than here").first().waitFor();

  // Whoever is in no group that gives a role stays out.
  await context.clearCookies();
  await open(page, "/login");
  await page.getByRole("link", { name: "Sign in with Example login" }).click();
  await identify("nobody@example.com");
  await press("Continue");
  await page.getByText("gives you no access here").first().waitFor();
  await check(page, "provider-refused");
});
