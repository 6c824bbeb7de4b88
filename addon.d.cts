declare const addon: Record<string, unknown>;
export = addon;
