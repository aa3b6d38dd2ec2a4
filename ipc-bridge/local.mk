# ipc-bridge: the bridge to Node processes and isolated modules; nothing yet.
