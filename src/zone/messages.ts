import { defineQuery } from '../kernel/message.ts';
import { Zone } from './zone.ts';

export const QueryZone = defineQuery(Zone, { route: 'GET /zones', source: 'zstack-api.md 3.9' });
