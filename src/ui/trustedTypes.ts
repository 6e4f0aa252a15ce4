// The page's only rule for addresses of scripts, where the browser enforces Trusted Types: a script comes from the page's own host.
// Not here: the directive that enforces it (launch/security.mjs); Svelte's own policy for its templates.

/** What TypeScript's DOM types lack. https://www.w3.org/TR/trusted-types/ */
interface TrustedTypePolicyFactory {
  createPolicy(name: string, rules: { createScriptURL(address: string): string }): unknown;
}

/** Before anything starts a worker. From then on no other address, no markup and no script text of a string gets into the page. */
export function restrictScripts(): void {
  const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypePolicyFactory };
  // The policy of this name is asked wherever a string is given.
  trustedTypes?.createPolicy('default', {
    createScriptURL: (address) => {
      const url = new URL(address, document.baseURI);
      if (url.origin === location.origin) return url.href;
      throw new TypeError(`A script of ${url.origin} is not one of this page.`);
    },
  });
}
