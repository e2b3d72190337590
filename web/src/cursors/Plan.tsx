/** A room of the plan, in units of the drawing: 1600 × 1000. */
interface PlanRoom {
  readonly name: string;
  readonly kind: string;
  readonly box: readonly [x: number, y: number, width: number, height: number];
  readonly label: readonly [x: number, y: number];
}

const rooms: readonly PlanRoom[] = [
  { name: 'Design', kind: 'floor', box: [60, 60, 520, 380], label: [96, 124] },
  { name: 'Lobby', kind: 'stone', box: [580, 60, 460, 540], label: [616, 124] },
  { name: 'Travel', kind: 'carpet', box: [1040, 60, 500, 380], label: [1076, 124] },
  { name: 'Kitchen', kind: 'tiles', box: [60, 440, 520, 500], label: [96, 504] },
  { name: 'Quiet', kind: 'dark', box: [580, 600, 460, 340], label: [616, 664] },
  { name: 'Garden', kind: 'grass', box: [1040, 440, 500, 500], label: [1076, 504] },
];

/** Something to point at: a house with light and dark floors. */
export function Plan() {
  return (
    <svg className="plan" viewBox="0 0 1600 1000" role="img" aria-label={planWords}>
      {rooms.map(({ name, kind, box: [x, y, width, height] }) => (
        <rect key={name} className={`plan-${kind}`} x={x} y={y} width={width} height={height} />
      ))}
      <Furniture />
      {/* Walls, with a door where two of them do not meet. */}
      <path
        className="plan-wall"
        d="M740 60H60V940H1040M860 60H1540V440M1540 440H1360M1240 440H1040V340M1040 230V60M580 60V180M580 300V440H400M290 440H60M580 440V560M580 680V940M580 600H740M860 600H1040V440M1040 600V720M1040 830V940"
      />
      <path className="plan-fence" d="M1540 440V940H1040" />
      {rooms.map(({ name, kind, label: [x, y] }) => (
        <text key={name} className={`plan-label plan-label-${kind}`} x={x} y={y}>
          {name}
        </text>
      ))}
    </svg>
  );
}

const planWords = `The plan of a house. Upper row: ${rooms
  .slice(0, 3)
  .map(({ name }) => name)
  .join(', ')}. Lower row: ${rooms
  .slice(3)
  .map(({ name }) => name)
  .join(', ')}.`;

function Furniture() {
  return (
    <>
      <g className="plan-thing">
        {/* Design: two desks with their chairs, and a board on the wall. */}
        <rect x="120" y="190" width="180" height="84" rx="10" />
        <rect x="350" y="190" width="180" height="84" rx="10" />
        <circle cx="210" cy="312" r="26" />
        <circle cx="440" cy="312" r="26" />
        {/* Lobby: a counter, a round table. */}
        <path d="M660 250h220a20 20 0 0 1 20 20v40a20 20 0 0 1-20 20H660Z" />
        <circle cx="810" cy="470" r="62" />
        <circle cx="712" cy="470" r="24" />
        <circle cx="908" cy="470" r="24" />
        {/* Travel: a sofa before a table. */}
        <rect x="1150" y="190" width="290" height="76" rx="30" />
        <rect x="1210" y="310" width="170" height="64" rx="32" />
        {/* Kitchen: the stove along the wall, and a long table. */}
        <path d="M72 560h86v368H72Z" />
        <rect x="250" y="610" width="250" height="200" rx="16" />
        <circle cx="300" cy="580" r="22" />
        <circle cx="450" cy="580" r="22" />
        <circle cx="300" cy="842" r="22" />
        <circle cx="450" cy="842" r="22" />
        {/* Quiet: a chair by the window. */}
        <rect x="880" y="780" width="120" height="120" rx="28" />
        <circle cx="780" cy="840" r="36" />
      </g>
      <g className="plan-accent">
        <circle cx="115" cy="630" r="24" />
        <circle cx="115" cy="700" r="24" />
        <rect x="690" y="274" width="20" height="32" rx="5" />
        <rect x="720" y="274" width="20" height="32" rx="5" />
        <circle cx="768" cy="290" r="15" />
        <rect x="150" y="212" width="52" height="38" rx="4" />
        <rect x="380" y="212" width="52" height="38" rx="4" />
      </g>
      <path className="plan-path" d="M1052 776C1180 760 1260 760 1300 640S1300 500 1300 452" />
      <g className="plan-tree">
        <circle cx="1210" cy="640" r="74" />
        <circle cx="1420" cy="820" r="92" />
        <circle cx="1430" cy="560" r="44" />
        <circle cx="1130" cy="860" r="40" />
      </g>
    </>
  );
}
