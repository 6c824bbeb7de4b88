/** Loads the native addon, once a process and thread; throws an error that explains itself. */
declare function loadAddon(): Record<string, unknown>;
export = loadAddon;
