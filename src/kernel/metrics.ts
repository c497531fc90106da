import { Registry } from 'prom-client';

/** What /metrics tells; each part registers its own figures. */
export const metrics = new Registry();
